//! The program on real kernel interfaces: V4L2 drivers, GPIO chips, signals, disks and clocks of a guest kernel.
//!
//! `tests/guest/run-all.sh` boots the guest and runs this test program in it. Elsewhere every test is
//! ignored: they load drivers, fill disks and set the clock.

mod brightness_model;
mod camera;
mod cameras;
mod ejector;
mod encoder;
mod gpio_sim;
mod guide;
mod pins;
mod process;
mod soak;
mod station;
mod stops;
