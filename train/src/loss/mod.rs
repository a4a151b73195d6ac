//! The three terms of DRAEM's loss with their gradients (draem.md 1.3, from the authors' `loss.py`),
//! and what an integer network is taught by.
//! All pictures are `N x C x H x W`.

mod focal;
mod imitation;
mod ssim;

pub use focal::focal;
pub use imitation::imitation;
pub use ssim::ssim;

/// Mean of the squared difference; adds its gradient by `reconstruction` to `gradient`.
///
/// # Panics
/// If the three slices differ in length.
pub fn l2(reconstruction: &[f32], clean: &[f32], gradient: &mut [f32]) -> f32 {
    assert_eq!(reconstruction.len(), clean.len());
    assert_eq!(reconstruction.len(), gradient.len());
    let scale = 2.0 / reconstruction.len() as f32;
    let mut sum = 0f64;
    for ((seen, wanted), gradient) in reconstruction.iter().zip(clean).zip(gradient) {
        let difference = seen - wanted;
        sum += f64::from(difference) * f64::from(difference);
        *gradient += scale * difference;
    }
    (sum / reconstruction.len() as f64) as f32
}
