//! Shapes of every tensor of a bundle's graph, worked out before the engine sees it.
//!
//! tract answers some shapes that do not fit with a panic, and others with an attempt to reserve more
//! memory than there is; a station must say what is wrong instead.

use std::collections::HashMap;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Most numbers in one tensor: 1 GiB of f32.
const MAX_VALUES: i64 = 1 << 28;
/// Largest kernel, stride, padding and scale.
const MAX_STEP: i64 = 16;

/// Works out every shape; `inputs` are the graph's inputs with theirs.
///
/// # Errors
/// What does not fit, beginning with the node.
pub(super) fn infer<'a>(
    graph: &'a GraphProto,
    inputs: impl IntoIterator<Item = (&'a str, Vec<i64>)>,
) -> Result<HashMap<&'a str, Vec<i64>>, String> {
    let arrays: HashMap<&str, &TensorProto> = graph
        .initializer
        .iter()
        .map(|array| (array.name.as_str(), array))
        .collect();
    let mut shapes: HashMap<&str, Vec<i64>> = inputs.into_iter().collect();
    shapes.extend(
        arrays
            .iter()
            .map(|(&name, array)| (name, array.dims.clone())),
    );
    for node in &graph.node {
        let seen = Seen {
            node,
            shapes: &shapes,
            arrays: &arrays,
        };
        let shape = seen.output().map_err(|reason| {
            format!("has node '{}' ({}) that {reason}", node.name, node.op_type)
        })?;
        shapes.insert(&node.output[0], shape);
    }
    Ok(shapes)
}

/// A node with all that is known before it. Its operator and number of inputs have been checked.
struct Seen<'n, 'g> {
    node: &'n NodeProto,
    shapes: &'n HashMap<&'g str, Vec<i64>>,
    arrays: &'n HashMap<&'g str, &'g TensorProto>,
}

impl Seen<'_, '_> {
    fn output(&self) -> Result<Vec<i64>, String> {
        let shape = match self.node.op_type.as_str() {
            "Conv" => self.convolution()?,
            "MaxPool" => self.pool()?,
            "Resize" => self.resize()?,
            "Concat" => self.concat()?,
            "QuantizeLinear" | "DequantizeLinear" => {
                self.only(&["axis"])?;
                self.shape(0)?.to_vec()
            }
            _ => {
                self.only(&[])?;
                self.shape(0)?.to_vec()
            }
        };
        let values = shape
            .iter()
            .try_fold(1i64, |product, &side| product.checked_mul(side));
        match values {
            Some(1..=MAX_VALUES) => Ok(shape),
            _ => Err(format!("gives the impossible shape {shape:?}")),
        }
    }

    fn shape(&self, input: usize) -> Result<&[i64], String> {
        let name = self.node.input[input].as_str();
        self.shapes
            .get(name)
            .map(Vec::as_slice)
            .ok_or_else(|| format!("reads '{name}', whose shape is unknown"))
    }

    /// Shape of an input that must be `N x C x H x W`.
    fn planes(&self, input: usize) -> Result<[i64; 4], String> {
        let shape = self.shape(input)?;
        shape
            .try_into()
            .map_err(|_| format!("reads shape {shape:?} and needs four sides"))
    }

    fn convolution(&self) -> Result<Vec<i64>, String> {
        self.only(&[
            "kernel_shape",
            "pads",
            "strides",
            "dilations",
            "group",
            "auto_pad",
        ])?;
        let [pictures, channels, height, width] = self.planes(0)?;
        let [out, fan_in, kernel_y, kernel_x] = self.planes(1)?;
        if fan_in != channels {
            return Err(format!(
                "reads {channels} channels with weights for {fan_in}"
            ));
        }
        if self.node.input.get(2).is_some_and(|name| !name.is_empty()) && self.shape(2)? != [out] {
            return Err(format!(
                "has {out} output channels and another number of biases"
            ));
        }
        self.must_be("dilations", &[1, 1])?;
        self.must_be("kernel_shape", &[kernel_y, kernel_x])?;
        if self.number("group")?.is_some_and(|group| group != 1) || !self.unpadded()? {
            return Err("has groups or automatic padding".to_owned());
        }
        let [top, left, bottom, right] = self.steps("pads", [0; 4], 0)?;
        let [down, across] = self.steps("strides", [1; 2], 1)?;
        Ok(vec![
            pictures,
            out,
            slid(height + top + bottom, kernel_y, down)?,
            slid(width + left + right, kernel_x, across)?,
        ])
    }

    fn pool(&self) -> Result<Vec<i64>, String> {
        self.only(&["kernel_shape", "strides", "auto_pad"])?;
        let [pictures, channels, height, width] = self.planes(0)?;
        let [kernel_y, kernel_x] = self.steps("kernel_shape", [0; 2], 1)?;
        let [down, across] = self.steps("strides", [1; 2], 1)?;
        if !self.unpadded()? {
            return Err("has automatic padding".to_owned());
        }
        Ok(vec![
            pictures,
            channels,
            slid(height, kernel_y, down)?,
            slid(width, kernel_x, across)?,
        ])
    }

    fn resize(&self) -> Result<Vec<i64>, String> {
        self.only(&["coordinate_transformation_mode", "mode", "nearest_mode"])?;
        let [pictures, channels, height, width] = self.planes(0)?;
        let plain = self.node.input.len() == 3 && self.node.input[1].is_empty();
        let scales = self
            .arrays
            .get(self.node.input[2].as_str())
            .filter(|_| plain);
        let scales: Vec<f32> = scales
            .map(|array| {
                let raw = array.raw_data.as_chunks::<4>().0.iter();
                raw.map(|&bytes| f32::from_le_bytes(bytes)).collect()
            })
            .unwrap_or_default();
        let whole = |scale: f32| scale.fract() == 0.0 && (1.0..=MAX_STEP as f32).contains(&scale);
        match scales[..] {
            [1.0, 1.0, y, x] if whole(y) && whole(x) => Ok(vec![
                pictures,
                channels,
                height * y as i64,
                width * x as i64,
            ]),
            _ => Err("must enlarge height and width by whole numbers".to_owned()),
        }
    }

    fn concat(&self) -> Result<Vec<i64>, String> {
        self.only(&["axis"])?;
        if self.number("axis")? != Some(1) {
            return Err("must join channels".to_owned());
        }
        let mut joined = self.planes(0)?;
        for input in 1..self.node.input.len() {
            let [pictures, channels, height, width] = self.planes(input)?;
            if [pictures, height, width] != [joined[0], joined[2], joined[3]] {
                return Err("joins pictures of different sizes".to_owned());
            }
            joined[1] += channels;
        }
        Ok(joined.to_vec())
    }

    fn attribute(
        &self,
        name: &str,
        kind: AttributeType,
    ) -> Result<Option<&AttributeProto>, String> {
        match self.node.attribute.iter().find(|a| a.name == name) {
            Some(attribute) if attribute.r#type == kind as i32 => Ok(Some(attribute)),
            Some(_) => Err(format!("has a '{name}' of another type")),
            None => Ok(None),
        }
    }

    fn number(&self, name: &str) -> Result<Option<i64>, String> {
        let attribute = self.attribute(name, AttributeType::Int)?;
        Ok(attribute.map(|attribute| attribute.i))
    }

    /// A list of `N` numbers from `least` to [`MAX_STEP`], or what stands for its absence.
    fn steps<const N: usize>(
        &self,
        name: &str,
        absent: [i64; N],
        least: i64,
    ) -> Result<[i64; N], String> {
        let numbers = match self.attribute(name, AttributeType::Ints)? {
            Some(attribute) => attribute.ints.as_slice().try_into().unwrap_or([-1; N]),
            None => absent,
        };
        if numbers
            .iter()
            .all(|number| (least..=MAX_STEP).contains(number))
        {
            Ok(numbers)
        } else {
            Err(format!("has impossible '{name}'"))
        }
    }

    fn must_be(&self, name: &str, wanted: &[i64]) -> Result<(), String> {
        match self.attribute(name, AttributeType::Ints)? {
            Some(attribute) if attribute.ints != wanted => Err(format!(
                "has '{name}' {:?} and needs {wanted:?}",
                attribute.ints
            )),
            _ => Ok(()),
        }
    }

    fn unpadded(&self) -> Result<bool, String> {
        let attribute = self.attribute("auto_pad", AttributeType::String)?;
        Ok(attribute.is_none_or(|attribute| attribute.s == b"NOTSET"))
    }

    fn only(&self, names: &[&str]) -> Result<(), String> {
        let attributes = &self.node.attribute;
        for (place, attribute) in attributes.iter().enumerate() {
            let name = attribute.name.as_str();
            let twice = attributes[..place].iter().any(|before| before.name == name);
            if twice || !names.contains(&name) {
                return Err(format!(
                    "has '{name}', which bundles do not use, or use once"
                ));
            }
        }
        Ok(())
    }
}

/// Places that a kernel takes on a side.
fn slid(side: i64, kernel: i64, stride: i64) -> Result<i64, String> {
    if !(1..=MAX_STEP).contains(&kernel) || side < kernel {
        return Err(format!("has a kernel of {kernel} on a side of {side}"));
    }
    Ok((side - kernel) / stride + 1)
}
