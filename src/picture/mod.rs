//! Pictures: reading files, preparing pixels for the network, masks.
//!
//! * **grey** pictures have one channel, **colour** pictures three in the order R, G, B;
//! * samples keep the depth they were delivered with (8 or 16 bit) until a tile is cut.

/// Samples of a picture, row-major, channels interleaved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Samples {
    U8(Vec<u8>),
    /// Full scale is 65535, whatever the camera's depth was.
    U16(Vec<u16>),
}

/// A picture as it was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub width_px: usize,
    pub height_px: usize,
    /// 1 (grey) or 3 (R, G, B).
    pub channels: usize,
    pub samples: Samples,
}
