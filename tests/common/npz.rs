//! NumPy's archives of arrays, for the tests of station and trainer, each of which includes this file.
//!
//! A crate for it (`ndarray-npy`) brought forty others, whose features made cargo build tract once for the tests and once
//! more for the program.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use zip::ZipArchive;

/// One `.npz` file.
pub struct Npz(ZipArchive<File>);

/// One array in row-major order.
pub struct NpyArray<T> {
    shape: Vec<usize>,
    values: Vec<T>,
}

/// A number that an array may hold.
pub trait Number: Sized {
    /// NumPy's name of the type, little endian.
    const DESCR: &'static str;
    /// Bytes of one number.
    const BYTES: usize;
    /// From its bytes.
    fn of(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($($type:ty, $descr:literal;)*) => {$(
        impl Number for $type {
            const DESCR: &'static str = $descr;
            const BYTES: usize = size_of::<$type>();
            fn of(bytes: &[u8]) -> Self {
                <$type>::from_le_bytes(bytes.try_into().unwrap())
            }
        }
    )*};
}

number! {
    f32, "<f4";
    f64, "<f8";
    i64, "<i8";
    u8, "|u1";
}

impl Npz {
    pub fn open(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Npz(ZipArchive::new(file).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    /// Names of its arrays.
    pub fn names(&self) -> Vec<String> {
        let names = self.0.file_names();
        names.map(|n| n.trim_end_matches(".npy").into()).collect()
    }

    /// An array of a known type.
    pub fn array<T: Number>(&mut self, name: &str) -> NpyArray<T> {
        let mut bytes = Vec::new();
        let mut file = self.0.by_name(&format!("{name}.npy"));
        let file = file.as_mut().unwrap_or_else(|e| panic!("{name}: {e}"));
        file.read_to_end(&mut bytes).unwrap();
        NpyArray::parse(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// An array of 32-bit floats.
    pub fn f32(&mut self, name: &str) -> NpyArray<f32> {
        self.array(name)
    }
}

impl<T: Number> NpyArray<T> {
    /// NumPy's format 1.0: magic, version, the header's length in two bytes, a Python dictionary, numbers.
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let length = bytes
            .strip_prefix(b"\x93NUMPY\x01\x00")
            .and_then(|rest| rest.first_chunk::<2>())
            .ok_or("no array of format 1.0")?;
        let (header, numbers) = bytes[10..]
            .split_at_checked(usize::from(u16::from_le_bytes(*length)))
            .ok_or("cut short")?;
        let header = std::str::from_utf8(header).map_err(|e| e.to_string())?;
        for wanted in [
            format!("'descr': '{}'", T::DESCR),
            "'fortran_order': False".into(),
        ] {
            if !header.contains(&wanted) {
                return Err(format!("{header} has not {wanted}"));
            }
        }
        let (_, shape) = header.split_once("'shape': (").ok_or("no shape")?;
        let (shape, _) = shape.split_once(')').ok_or("no shape")?;
        let shape = shape.split(',').map(str::trim).filter(|s| !s.is_empty());
        let shape = shape.map(|side| side.parse::<usize>().map_err(|e| format!("{side}: {e}")));
        let shape = shape.collect::<Result<Vec<_>, _>>()?;
        if numbers.len() != T::BYTES * shape.iter().product::<usize>() {
            return Err(format!("{} bytes are not {shape:?}", numbers.len()));
        }
        let values = numbers.chunks_exact(T::BYTES).map(T::of).collect();
        Ok(NpyArray { shape, values })
    }
}

impl<T> NpyArray<T> {
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn into_values(self) -> Vec<T> {
        self.values
    }
}

impl<T> std::ops::Deref for NpyArray<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values
    }
}
