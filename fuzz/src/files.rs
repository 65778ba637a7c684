//! Tensors in files: what is accepted is all there, and fits what it says of itself.

use core_validate::{FileLimits, Invalid, Npy, SafeTensors, StoredTensor, TensorSpec};

fn sound<T>(read: Result<T, Invalid>) -> Option<T> {
    if let Err(error) = &read {
        assert!(error.message().len() < 200 && error.at().as_str().len() <= 128, "{error:?}");
    }
    read.ok()
}

fn fits(tensor: &StoredTensor, file: &[u8]) -> (String, TensorSpec) {
    let shape: Vec<i64> =
        tensor.shape().iter().map(|size| i64::try_from(*size).expect("a size of something")).collect();
    let spec = TensorSpec::new(tensor.dtype(), shape);
    assert_eq!(tensor.bytes(file).len() as u64, tensor.range().end - tensor.range().start);
    assert!(!tensor.bytes(file).is_empty());
    tensor.check(file, &spec).expect("it is what it says");
    (tensor.name().to_owned(), spec)
}

/// A file of the form safetensors.
pub fn safetensors(file: &[u8]) {
    let limits = FileLimits::default();
    let Some(read) = sound(SafeTensors::read(&limits, file)) else { return };
    let mut at = read.tensors()[0].range().start;
    for tensor in read.tensors() {
        assert_eq!(tensor.range().start, at);
        at = tensor.range().end;
    }
    assert_eq!(at, file.len() as u64);
    let specs: Vec<_> = read.tensors().iter().map(|tensor| fits(tensor, file)).collect();
    read.check(file, &specs).expect("all are there");
    let start = &file[..read.tensors()[0].range().start as usize];
    let header = SafeTensors::read_header(&limits, start, file.len() as u64).expect("the header alone");
    assert_eq!((header.tensors(), header.metadata()), (read.tensors(), read.metadata()));
}

/// A file of the form npy.
pub fn npy(file: &[u8]) {
    let Some(read) = sound(Npy::read(&FileLimits::default(), file)) else { return };
    assert_eq!(read.tensor().range().end, file.len() as u64);
    fits(read.tensor(), file);
}
