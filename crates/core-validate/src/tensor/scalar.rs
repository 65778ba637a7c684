//! Rust's own numbers as elements of tensors.

use crate::tensor::Dtype;

/// A number that a tensor may hold. Sealed.
pub trait Scalar: Copy + sealed::Sealed {
    /// The data type it stands for.
    const DTYPE: Dtype;
    /// Whether it is a number that is not infinite.
    #[doc(hidden)]
    fn is_sound(self) -> bool;
    /// The value as `f64`, rounded when it must be.
    #[doc(hidden)]
    fn to_f64(self) -> f64;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! scalar {
    ($($type:ty, $dtype:ident, $value:ident => $sound:expr, $float:expr;)*) => {$(
        impl sealed::Sealed for $type {}
        impl Scalar for $type {
            const DTYPE: Dtype = Dtype::$dtype;
            #[inline]
            fn is_sound(self) -> bool {
                let $value = self;
                let _ = $value;
                $sound
            }
            #[inline]
            fn to_f64(self) -> f64 {
                let $value = self;
                $float
            }
        }
    )*};
}

scalar! {
    bool, Bool, v => true, f64::from(u8::from(v));
    u8, Uint8, v => true, f64::from(v);
    u16, Uint16, v => true, f64::from(v);
    u32, Uint32, v => true, f64::from(v);
    u64, Uint64, v => true, v as f64;
    i8, Int8, v => true, f64::from(v);
    i16, Int16, v => true, f64::from(v);
    i32, Int32, v => true, f64::from(v);
    i64, Int64, v => true, v as f64;
    f32, Fp32, v => v.is_finite(), f64::from(v);
    f64, Fp64, v => v.is_finite(), v;
}
