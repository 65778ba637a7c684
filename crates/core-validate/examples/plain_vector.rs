//! A plain vector of numbers against a specification, without any request around it.
#![expect(clippy::print_stdout, reason = "an example prints")]

use core_validate::{Dtype, TensorSpec};

fn main() {
    let spec = TensorSpec::new(Dtype::Fp32, [-1, 3, 224, 224]).max_elements(512).range(0.0, 1.0);
    let report = [
        spec.check(&[0.5_f32; 10]),
        spec.check(&[0.5_f32; 600]),
        spec.check::<f32>(&[]),
        spec.check(&[f32::NAN]),
        spec.check_shape(&[1, 3]),
    ];
    for result in report {
        let line = result.map_or_else(|error| format!("{}: {error}", error.code().as_str()), |()| "good".to_owned());
        println!("{line}");
    }
}
