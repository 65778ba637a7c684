//! What a model says it takes and gives.

use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::oip::tensor::Tensor;
use crate::tensor::TensorSpec;

/// The tensors of a model, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelSpec {
    inputs: Vec<(String, TensorSpec)>,
    optional: Vec<String>,
    outputs: Vec<(String, TensorSpec)>,
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

    /// The model takes this tensor, and works without it.
    #[must_use]
    pub fn optional_input(mut self, name: &str, spec: TensorSpec) -> Self {
        self.optional.push(name.to_owned());
        self.input(name, spec)
    }

    /// The model gives this tensor.
    #[must_use]
    pub fn output(mut self, name: &str, spec: TensorSpec) -> Self {
        self.outputs.push((name.to_owned(), spec));
        self
    }

    /// The inputs, in order.
    pub fn inputs(&self) -> &[(String, TensorSpec)] {
        &self.inputs
    }

    /// The outputs, in order; none when they are not known.
    pub fn outputs(&self) -> &[(String, TensorSpec)] {
        &self.outputs
    }

    /// Checks the inputs of a request.
    pub(super) fn check_inputs(&self, tensors: &[Tensor]) -> Result<(), Invalid> {
        let at = Pointer::root().key("inputs");
        for (i, tensor) in tensors.iter().enumerate() {
            let Some(spec) = find(&self.inputs, &tensor.head.name) else {
                let at = at.index(i).key("name");
                return Err(Invalid::new(InvalidCode::UnknownField, at, "the model has no such input"));
            };
            tensor.check_spec(spec, &at.index(i))?;
        }
        let is_missing =
            |name: &String| !self.optional.contains(name) && !tensors.iter().any(|tensor| tensor.head.name == *name);
        match self.inputs.iter().find(|(name, _)| is_missing(name)) {
            Some((name, _)) => Err(Invalid::new(InvalidCode::MissingField, at, format!("input {name} is required"))),
            None => Ok(()),
        }
    }

    /// Checks the name of an output that is asked for.
    pub(super) fn check_asked(&self, output: &str, at: impl Fn() -> Pointer) -> Result<(), Invalid> {
        if self.outputs.is_empty() || find(&self.outputs, output).is_some() {
            return Ok(());
        }
        Err(Invalid::new(InvalidCode::UnknownField, at(), "the model has no such output"))
    }

    /// Checks the outputs of an answer. `classified` are those whose values were asked for as classes.
    pub(super) fn check_outputs(&self, tensors: &[Tensor], classified: &[String]) -> Result<(), Invalid> {
        if self.outputs.is_empty() {
            return Ok(());
        }
        for (i, tensor) in tensors.iter().enumerate().filter(|(_, tensor)| !classified.contains(&tensor.head.name)) {
            let at = Pointer::root().key("outputs").index(i);
            match find(&self.outputs, &tensor.head.name) {
                Some(spec) => tensor.check_spec(spec, &at)?,
                None => {
                    let message = "the model has no such output";
                    return Err(Invalid::new(InvalidCode::UnknownField, at.key("name"), message));
                }
            }
        }
        Ok(())
    }
}

fn find<'s>(specs: &'s [(String, TensorSpec)], name: &str) -> Option<&'s TensorSpec> {
    specs.iter().find(|(own, _)| own == name).map(|(_, spec)| spec)
}
