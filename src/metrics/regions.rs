//! The ground truth's regions.

use crate::picture::Mask;

/// Labels 8-connected regions: 0 for good, regions from 1 on in reading order of their first pixel;
/// beside it the pixels of each region.
pub fn label(mask: &Mask) -> (Vec<u32>, Vec<u32>) {
    let (width, height) = (mask.width_px, mask.height_px);
    let mut labels = vec![0u32; mask.defect.len()];
    let mut sizes = Vec::new();
    let mut open = Vec::new();
    for start in 0..labels.len() {
        if !mask.defect[start] || labels[start] != 0 {
            continue;
        }
        let region = sizes.len() as u32 + 1;
        let mut size = 0;
        labels[start] = region;
        open.push(start);
        while let Some(at) = open.pop() {
            size += 1;
            let (line, column) = (at / width, at % width);
            for y in line.saturating_sub(1)..(line + 2).min(height) {
                for x in column.saturating_sub(1)..(column + 2).min(width) {
                    let near = y * width + x;
                    if mask.defect[near] && labels[near] == 0 {
                        labels[near] = region;
                        open.push(near);
                    }
                }
            }
        }
        sizes.push(size);
    }
    (labels, sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_join_and_lines_do_not_wrap() {
        let rows = ["#..#", ".#..", "#..#"];
        let mask = Mask {
            width_px: 4,
            height_px: 3,
            defect: rows.concat().chars().map(|c| c == '#').collect(),
        };
        let (labels, sizes) = label(&mask);
        assert_eq!(labels, [1, 0, 0, 2, 0, 1, 0, 0, 1, 0, 0, 3]);
        assert_eq!(sizes, [3, 1, 1]);
    }
}
