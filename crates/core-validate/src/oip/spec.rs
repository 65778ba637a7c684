//! What a model says it takes.

use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::oip::data::Tensor;
use crate::tensor::TensorSpec;

/// The input tensors of a model, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelSpec {
    inputs: Vec<(String, TensorSpec)>,
}

impl ModelSpec {
    /// A model without inputs; add them with [`ModelSpec::input`].
    pub fn new() -> Self {
        Self::default()
    }

    /// The model takes this tensor, and needs it.
    #[must_use]
    pub fn input(mut self, name: &str, spec: TensorSpec) -> Self {
        self.inputs.push((name.to_owned(), spec));
        self
    }

    /// The inputs, in order.
    pub fn inputs(&self) -> &[(String, TensorSpec)] {
        &self.inputs
    }

    pub(super) fn check(&self, tensors: &[Tensor]) -> Result<(), Invalid> {
        let at = Pointer::root().key("inputs");
        for (i, tensor) in tensors.iter().enumerate() {
            let at = at.index(i);
            let Some((_, spec)) = self.inputs.iter().find(|(name, _)| *name == tensor.name) else {
                return Err(Invalid::new(InvalidCode::UnknownField, at.key("name"), "the model has no such input"));
            };
            if spec.dtype() != tensor.dtype {
                let message = format!("expected data type {}, got {}", spec.dtype(), tensor.dtype);
                return Err(Invalid::new(InvalidCode::WrongDtype, at.key("datatype"), message));
            }
            spec.check_shape_at(&tensor.shape, &at.key("shape"))?;
            if let Some((min, max)) = tensor.bounds {
                spec.check_bounds(min, max, &at.key("data"))?;
            }
        }
        match self.inputs.iter().find(|(name, _)| !tensors.iter().any(|t| t.name == *name)) {
            Some((name, _)) => Err(Invalid::new(InvalidCode::MissingField, at, format!("input {name} is required"))),
            None => Ok(()),
        }
    }
}
