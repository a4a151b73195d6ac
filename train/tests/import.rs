//! The whole program: the authors' PyTorch checkpoints as a bundle.

mod program;
mod support;

use blemish::engine::{Inspector, Prediction};
use blemish::model::{Bundle, ColorOrder, Preparation};
use blemish::picture::ResizeFilter;
use program::{Scene, told};
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use support::Npz;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name)
}

fn import(scene: &Scene, files: [&Path; 2]) -> std::process::Output {
    let [first, second] = files.map(|path| path.to_str().unwrap());
    scene.run(&["import", first, second, "--tile=32", "--out=authors.onnx"])
}

#[test]
fn an_imported_bundle_gives_pytorchs_output() {
    let scene = Scene::new();
    let done = import(
        &scene,
        [&fixture("authors.pckl"), &fixture("authors_seg.pckl")],
    );
    assert!(done.status.success(), "{}", told(&done));
    assert!(told(&done).contains("networks    2/2"), "{}", told(&done));
    let bundle = Bundle::read(scene.path("authors.onnx")).unwrap();
    assert_eq!(bundle.metadata().color_order, ColorOrder::Bgr);
    assert_eq!(
        bundle.metadata().preparation,
        Preparation::Resize {
            filter: ResizeFilter::Bilinear
        }
    );
    let mut arrays = Npz::open(fixture("authors.npz"));
    let image: Vec<f32> = arrays.f32("image").iter().copied().collect();
    let mut prediction = Prediction::default();
    bundle.inspector().inspect(&image, &mut prediction).unwrap();
    for (got, name) in [
        (&prediction.anomaly_map, "anomaly_map"),
        (&prediction.reconstruction, "reconstruction"),
    ] {
        let wanted = arrays.f32(name);
        assert_eq!(got.len(), wanted.len(), "{name}");
        let (low, high) = wanted.iter().fold((1f32, 0f32), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
        assert!(high - low > 0.1, "a flat {name} proves nothing");
        for (got, wanted) in got.iter().zip(wanted.iter()) {
            assert!((got - wanted).abs() < 1e-4, "{name}: {got} not {wanted}");
        }
    }
}

#[test]
fn what_is_no_pair_of_checkpoints_is_refused_with_its_reason() {
    let scene = Scene::new();
    let whole = std::fs::read(fixture("authors.pckl")).unwrap();
    scene.write("half.pckl", &whole[..whole.len() / 2]);
    let mut altered = whole.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 0x10;
    scene.write("altered.pckl", &altered);
    scene.write("text.pckl", b"not a checkpoint");
    let (rec, seg) = (fixture("authors.pckl"), fixture("authors_seg.pckl"));
    let cases = [
        (
            seg.clone(),
            rec.clone(),
            "this is not the reconstructive network",
        ),
        (
            rec.clone(),
            rec.clone(),
            "this is not the discriminative network",
        ),
        (
            fixture("whole_module.pckl"),
            seg.clone(),
            "which is not run here",
        ),
        (
            scene.path("half.pckl"),
            seg.clone(),
            "no checkpoint of PyTorch 1.6",
        ),
        (scene.path("altered.pckl"), seg.clone(), "in it"),
        (
            scene.path("text.pckl"),
            seg.clone(),
            "no checkpoint of PyTorch 1.6",
        ),
        (scene.path("absent.pckl"), seg, "No such file"),
    ];
    for (first, second, words) in cases {
        let refused = import(&scene, [&first, &second]);
        let told = told(&refused);
        assert_eq!(refused.status.code(), Some(2), "{told}");
        assert!(told.contains(words), "'{words}' in {told}");
        assert!(!scene.path("authors.onnx").exists());
    }
}

/// A checkpoint with this pickle and one storage of 3000 floats.
fn archive(scene: &Scene, name: &str, pickle: &[u8]) -> PathBuf {
    let path = scene.path(name);
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for (member, bytes) in [("a/data.pkl", pickle), ("a/data/0", &[0; 4 * 3000])] {
        zip.start_file(member, SimpleFileOptions::default())
            .unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    path
}

#[test]
fn hostile_checkpoints_take_neither_the_stack_nor_all_memory() {
    let scene = Scene::new();
    let refused = |path: &Path, words: &str| {
        let refused = import(&scene, [path, &fixture("authors_seg.pckl")]);
        let told = told(&refused);
        assert_eq!(refused.status.code(), Some(2), "{told}");
        assert!(told.contains(words), "'{words}' in {told}");
    };
    let deep = [b"\x80\x02N".as_slice(), &b"\x85".repeat(3_000_000), b"."].concat();
    refused(&archive(&scene, "deep.pckl", &deep), "nests deeper");
    let view = |side: u32, stride: u8| {
        let mut wide = b"\x80\x02}(X\x17\x00\x00\x00encoder.block1.0.weight".to_vec();
        wide.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage");
        wide.extend(b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQK\x00(J");
        wide.extend(side.to_le_bytes());
        wide.extend(
            [
                b"K\x01K\x01K\x01t(K".as_slice(),
                &[stride],
                b"K\x00K\x00K\x00ttRu.",
            ]
            .concat(),
        );
        wide
    };
    for width in [0u32, 1025, 3000] {
        refused(
            &archive(&scene, "wide.pckl", &view(width, 1)),
            &format!("has {width} channels"),
        );
    }
    let wide = archive(&scene, "wide.pckl", &view(1024, 1));
    refused(&wide, "no bundle of more than 1024 MiB is read");
    // Networks of that width would take 4 GiB, and only their first array is there.
    let few = archive(&scene, "few.pckl", &view(120, 1));
    refused(
        &few,
        "few.pckl: array 'rec.encoder.block1.0.weight' has shape [120, 1, 1, 1]",
    );
    // A GiB from one float.
    let repeated = archive(&scene, "repeated.pckl", &view(1 << 28, 0));
    refused(&repeated, "repeats one element along a side");
    let list = [b"\x80\x02]".as_slice(), &b"q\x00Na".repeat(4000), b"."].concat();
    refused(&archive(&scene, "list.pckl", &list), "repeats itself");
    let gaps: Vec<u8> = (1..1000u32)
        .flat_map(|number| [b"r".as_slice(), &(250 * number).to_le_bytes()].concat())
        .collect();
    let gaps = [b"\x80\x02N".as_slice(), &gaps, b"."].concat();
    refused(
        &archive(&scene, "gaps.pckl", &gaps),
        "numbers its memory wildly",
    );
}

/// A checkpoint with `before` in its names replaced by `after`, which is as long.
fn renamed(name: &str, before: &str, after: &str) -> Vec<u8> {
    assert_eq!(before.len(), after.len());
    let mut archive = ZipArchive::new(std::fs::File::open(fixture(name)).unwrap()).unwrap();
    let mut written = ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..archive.len() {
        let mut file = archive.by_index(number).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let places: Vec<usize> = (bytes.windows(before.len()).enumerate())
            .filter(|(_, window)| *window == before.as_bytes())
            .map(|(place, _)| place)
            .collect();
        for place in places {
            bytes[place..place + after.len()].copy_from_slice(after.as_bytes());
        }
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        written.start_file(file.name(), stored).unwrap();
        written.write_all(&bytes).unwrap();
    }
    written.finish().unwrap().into_inner()
}

#[test]
fn arrays_of_another_architecture_are_refused() {
    let scene = Scene::new();
    let seg = fixture("authors_seg.pckl");
    let rec = renamed("authors.pckl", "encoder.block5.3.", "encoder.sspcab.3.");
    scene.write("rec.pckl", &rec);
    let refused = import(&scene, [&scene.path("rec.pckl"), &seg]);
    let told = told(&refused);
    assert_eq!(refused.status.code(), Some(2), "{told}");
    for part in ["2 of its arrays", "reconstructive", "'encoder.sspcab.3."] {
        assert!(told.contains(part), "'{part}' is missing from: {told}");
    }
}
