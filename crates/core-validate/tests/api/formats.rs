//! Tensors in files: every rule of safetensors and npy, and failures of other readers.

use core_validate::{Dtype, FileLimits, Invalid, InvalidCode, ModelSpec, Npy, SafeTensors, TensorSpec};
use proptest::prelude::*;

use InvalidCode::*;

/// A file with this header, padded as it must be.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let padded = format!("{header}{}", " ".repeat(header.len().next_multiple_of(8) - header.len()));
    unpadded(&padded, data)
}

fn unpadded(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn read(file: &[u8]) -> Result<SafeTensors, Invalid> {
    SafeTensors::read(&FileLimits::default(), file)
}

fn entry(name: &str, dtype: &str, shape: &str, start: u64, end: u64) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Invalid>, code: InvalidCode, at: &str, message: &str) {
    let error = result.expect_err("refused");
    assert_eq!((error.code(), error.at().as_str(), error.message()), (code, at, message));
}

/// One tensor whose entry this is, before four bytes of data.
#[track_caller]
fn one(entry: &str, code: InvalidCode, at: &str, message: &str) {
    refused(read(&file(&format!("{{{entry}}}"), &[0; 4])), code, at, message);
}

fn two() -> Vec<u8> {
    let entries = [entry("w", "F32", "[2,1]", 2, 10), entry("b", "BOOL", "[2]", 0, 2)];
    let values = [1.0_f32, -2.5].map(f32::to_le_bytes).concat();
    file(&format!(r#"{{"__metadata__":{{"format":"pt"}},{}}}"#, entries.join(",")), &[&[1, 0][..], &values].concat())
}

#[test]
fn a_file_is_a_list_of_tensors() {
    let bytes = two();
    let read = read(&bytes).unwrap();
    let [b, w] = read.tensors() else { panic!("two tensors in the order of their values") };
    assert_eq!((b.name(), b.dtype(), b.shape(), b.bytes(&bytes)), ("b", Dtype::Bool, &[2][..], &[1, 0][..]));
    assert_eq!((w.name(), w.dtype(), w.shape()), ("w", Dtype::Fp32, &[2, 1][..]));
    assert_eq!(w.range(), bytes.len() as u64 - 8..bytes.len() as u64);
    assert_eq!(read.metadata(), [("format".to_owned(), "pt".to_owned())]);
    let start = bytes.len() - 10;
    let header = SafeTensors::read_header(&FileLimits::default(), &bytes[..start], bytes.len() as u64).unwrap();
    assert_eq!(header.tensors(), read.tensors());
    let all = ["BOOL", "U8", "I8", "U16", "I16", "F16", "BF16", "U32", "I32", "F32", "U64", "I64", "F64"];
    for (dtype, width) in all.into_iter().zip([1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 8, 8]) {
        let scalar = format!("{{{}}}", entry("x", dtype, "[]", 0, width));
        assert_eq!(self::read(&file(&scalar, &vec![0; width as usize])).unwrap().tensors()[0].shape(), [0_u64; 0]);
    }
}

#[test]
fn a_file_is_held_against_a_model() {
    let bytes = two();
    let read = read(&bytes).unwrap();
    let model = |w: TensorSpec| ModelSpec::new().input("b", TensorSpec::new(Dtype::Bool, [2])).input("w", w);
    let check = |model: ModelSpec| read.check(&bytes, model.inputs());
    assert!(check(model(TensorSpec::new(Dtype::Fp32, [-1, 1]))).is_ok());
    let error = check(model(TensorSpec::new(Dtype::Fp16, [-1, 1])));
    refused(error, WrongDtype, "/w/dtype", "expected data type FP16, got FP32");
    let error = check(model(TensorSpec::new(Dtype::Fp32, [-1, 1]).range(0.0, 1.0)));
    assert_eq!(error.unwrap_err().message(), "value at index 1 is outside 0 to 1");
    assert_eq!(check(model(TensorSpec::new(Dtype::Fp32, [3, 1]))).unwrap_err().code(), WrongShape);
    refused(check(ModelSpec::new()), UnknownField, "/b", "the model has no such tensor");
    let more = model(TensorSpec::new(Dtype::Fp32, [-1, 1])).input("x", TensorSpec::new(Dtype::Fp32, [1]));
    refused(check(more), MissingField, "", "tensor x is required");
}

/// No. 34 of the failures that were collected: where the eighth ends, the ninth, and eight bytes of length, wrap.
#[test]
fn nine_tensors_do_not_overflow() {
    let most = (1_u64 << 61) - 1;
    let start = |i: u64| i * most;
    let entries: Vec<String> =
        (0..8).map(|i| entry(&format!("x{i}"), "U8", &format!("[{most}]"), start(i), start(i + 1))).collect();
    let last = entry("x8", "U8", "[16]", start(8), u64::MAX);
    let header = format!("{{{},{last}}}", entries.join(","));
    assert!(read(&file(&header, &[0; 16])).is_err());
    let wraps = entry("x", "U8", "[18446744073709551615]", 0, u64::MAX);
    refused(
        read(&file(&format!("{{{wraps}}}"), &[])),
        OutOfRange,
        "/x/data_offsets",
        "expected a start and an end of data, got 0 and 18446744073709551615",
    );
}

/// No. 32, 33 and 3: a shape of other bytes than the offsets, tensors of no size, products that wrap.
#[test]
fn shapes_fit_their_bytes() {
    let shape = |shape, message| one(&entry("x", "F32", shape, 0, 4), WrongShape, "/x/shape", message);
    shape("[2]", "shape and data type need 8 bytes, got 4");
    shape("[4294967296,4294967296]", "shape and data type need 18446744073709551615 bytes, got 4");
    shape("[9223372036854775808,2]", "shape and data type need 18446744073709551615 bytes, got 4");
    one(&entry("x", "F64", "[2305843009213693952]", 0, 4), WrongShape, "/x/shape", {
        "shape and data type need 18446744073709551615 bytes, got 4"
    });
    for none in ["[0]", "[1,0]", "[0,9223372036854775808,2]", "[9223372036854775808,2,0]"] {
        one(&entry("x", "F32", none, 0, 4), EmptyInput, "/x/shape", "input is empty");
        one(&entry("x", "F32", none, 0, 0), EmptyInput, "/x/shape", "input is empty");
    }
    let nine = "[1,1,1,1,1,1,1,1,1]";
    one(&entry("x", "F32", nine, 0, 4), WrongRank, "/x/shape", "expected at most 8 dimensions, got 9");
    for wrong in ["[-1]", "[1.0]", "[1e0]", "[18446744073709551616]", "[\"1\"]", "[[1]]", "[true]", "1", "{}", "null"] {
        let error = read(&file(&format!("{{{}}}", entry("x", "F32", wrong, 0, 4)), &[0; 4])).unwrap_err();
        assert!(matches!(error.code(), WrongType | OutOfRange | TooDeep), "{wrong}: {error:?}");
    }
}

#[test]
fn offsets_leave_no_byte_out_and_use_none_twice() {
    let pair = |a: (u64, u64), b: (u64, u64)| {
        let entries = [("a", a), ("b", b)].map(|(name, (start, end))| {
            entry(name, "U8", &format!("[{}]", end.saturating_sub(start).max(1)), start, end)
        });
        read(&file(&format!("{{{}}}", entries.join(",")), &[0; 8]))
    };
    assert!(pair((0, 4), (4, 8)).is_ok() && pair((4, 8), (0, 4)).is_ok());
    refused(pair((0, 4), (5, 8)), WrongShape, "/b/data_offsets", "expected data from 4, got 5");
    refused(pair((0, 4), (3, 8)), WrongShape, "/b/data_offsets", "expected data from 4, got 3");
    refused(pair((0, 8), (0, 8)), WrongShape, "/b/data_offsets", "expected data from 8, got 0");
    refused(pair((1, 4), (4, 8)), WrongShape, "/a/data_offsets", "expected data from 0, got 1");
    refused(pair((0, 4), (4, 7)), WrongShape, "", "expected 7 bytes of tensor data, got 8");
    refused(pair((0, 4), (4, 9)), WrongShape, "", "expected 9 bytes of tensor data, got 8");
    let message = "expected a start and an end of data, got 8 and 4";
    refused(pair((0, 4), (8, 4)), OutOfRange, "/b/data_offsets", message);
    let offsets = |offsets: &str| format!(r#""x":{{"dtype":"U8","shape":[4],"data_offsets":{offsets}}}"#);
    for wrong in ["[0]", "[0,4,4]", "[]"] {
        one(&offsets(wrong), WrongType, "/x/data_offsets", "expected a start and an end");
    }
    one(&offsets("[0,4.0]"), WrongType, "/x/data_offsets/1", "expected whole numbers of 0 or more");
    one(&offsets("[-1,3]"), WrongType, "/x/data_offsets/0", "expected whole numbers of 0 or more");
    one(&offsets("\"0,4\""), WrongType, "/x/data_offsets", "expected whole numbers of 0 or more");
}

#[test]
fn the_header_is_read_strictly() {
    let sound = entry("x", "F32", "[1]", 0, 4);
    one(&format!("{sound},{sound}"), DuplicateKey, "/x", "key appears twice");
    one(&format!("{sound},{}", sound.replace("\"x\"", r#""\u0078""#)), DuplicateKey, "/x", "key appears twice");
    one(&sound.replace(r#""dtype""#, r#""dtype":"F32","dtype""#), DuplicateKey, "/x/dtype", "key appears twice");
    one(&sound.replace("dtype", "type"), UnknownField, "/x/type", "field type is not accepted here");
    one(&sound.replace(r#""shape":[1],"#, ""), MissingField, "/x/shape", "field is required");
    one("\"x\":1", WrongType, "/x", "expected an object");
    one("", EmptyInput, "", "input is empty");
    one(r#""__metadata__":{}"#, EmptyInput, "", "input is empty");
    let names = "a tensor name is 1 to 256 visible ASCII characters";
    for name in ["", "a b", "\\n", "ä", "\\u0000"] {
        assert_eq!(
            read(&file(&format!("{{{}}}", entry(name, "F32", "[1]", 0, 4)), &[0; 4])).unwrap_err().message(),
            names
        );
    }
    one(&entry(&"n".repeat(257), "F32", "[1]", 0, 4), StringTooLong, "", "text of 257 bytes exceeds maximum 256");
    let names = "BOOL, U8, I8, U16, I16, F16, BF16, U32, I32, F32, U64, I64, F64";
    for dtype in ["F8_E4M3", "F8_E5M2", "F4", "C64", "f32", "FP32", "", "F32 "] {
        one(&entry("x", dtype, "[1]", 0, 4), WrongDtype, "/x/dtype", &format!("expected a data type of {names}"));
    }
    for (header, code) in [
        ("[]", BadHeader),
        (" {}", BadHeader),
        ("{", InvalidJson),
        ("{}{}", InvalidJson),
        ("{} x", InvalidJson),
        ("{\"x\":NaN}", InvalidJson),
        ("{\"x\":\"\\ud800\"}", InvalidJson),
    ] {
        assert_eq!(read(&file(header, &[0; 4])).unwrap_err().code(), code, "{header}");
    }
    assert_eq!(read(&[&8_u64.to_le_bytes()[..], b"{\"\xff\": 1}"].concat()).unwrap_err().code(), InvalidUtf8);
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
    assert_eq!(read(&file(&deep, &[])).unwrap_err().code(), TooDeep);
}

#[test]
fn the_length_of_the_header_is_believed_last() {
    let length = |length: u64| read(&[&length.to_le_bytes()[..], b"{}      "].concat());
    for huge in [1 << 63, u64::MAX, u64::MAX - 7, (1 << 20) + 1] {
        let message = format!("expected a header of at most 1048576 bytes, got {huge}");
        refused(length(huge), BadHeader, "", &message);
    }
    refused(length(1 << 20), BadHeader, "", "expected a header of 1048576 bytes, got 8");
    refused(length(9), BadHeader, "", "expected a header of 9 bytes, got 8");
    refused(length(0), BadHeader, "", "expected a header that starts with an object");
    refused(length(2), BadHeader, "", "expected data from a multiple of 8, got 10");
    let header = format!("{{{}}}", entry("x", "F32", "[1]", 0, 4));
    for stretch in 0..8 {
        let stretched = format!("{header}{}", " ".repeat(stretch));
        let is_aligned = stretched.len() % 8 == 0;
        assert_eq!(read(&unpadded(&stretched, &[0; 4])).is_ok(), is_aligned, "{stretch}");
    }
    let larger = SafeTensors::read(&FileLimits::default().header_bytes(16), &file(&header, &[0; 4]));
    assert_eq!(larger.unwrap_err().code(), BadHeader);
    let short = SafeTensors::read_header(&FileLimits::default(), &file(&header, &[]), 20);
    refused(short.map(drop), BadHeader, "", "the file is shorter than its header");
}

#[test]
fn names_and_metadata_are_bounded() {
    let metadata = |pairs: &str| {
        read(&file(&format!(r#"{{"__metadata__":{{{pairs}}},{}}}"#, entry("x", "U8", "[1]", 0, 1)), &[0]))
    };
    let many = |count| (0..count).map(|i| format!(r#""k{i}":"""#)).collect::<Vec<_>>().join(",");
    assert!(metadata(&many(256)).is_ok());
    refused(metadata(&many(257)), OutOfRange, "/__metadata__", "list of 257 exceeds maximum 256");
    assert_eq!(metadata(&many(100_000 / 9)).unwrap_err().code(), TooManyValues);
    let long = |bytes| format!(r#""k":"{}""#, "v".repeat(bytes));
    assert!(metadata(&long(64 << 10)).is_ok());
    assert_eq!(metadata(&long((64 << 10) + 1)).unwrap_err().code(), StringTooLong);
    for wrong in [r#""k":1"#, r#""k":null"#, r#""k":["v"]"#, r#""k":{}"#] {
        refused(metadata(wrong), WrongType, "/__metadata__/k", "expected a string");
    }
    assert_eq!(metadata(r#""k":"a","k":"b""#).unwrap_err().code(), DuplicateKey);
    let tensors = |count: u64| {
        let entries: Vec<String> = (0..count).map(|i| entry(&format!("x{i}"), "U8", "[1]", i, i + 1)).collect();
        read(&file(&format!("{{{}}}", entries.join(",")), &vec![0; count as usize]))
    };
    assert_eq!(tensors(1_024).unwrap().tensors().len(), 1_024);
    refused(tensors(1_025), OutOfRange, "", "expected at most 1024 tensors, got more");
}

#[test]
fn values_are_sound() {
    let with = |dtype: &str, shape: &str, data: &[u8]| {
        read(&file(&format!("{{{}}}", entry("x", dtype, shape, 0, data.len() as u64)), data))
    };
    let floats = [1.0_f32, f32::NAN].map(f32::to_le_bytes).concat();
    refused(with("F32", "[2]", &floats), NonFinite, "/x", "non-finite value at index 1");
    assert_eq!(with("F64", "[1]", &f64::INFINITY.to_le_bytes()).unwrap_err().code(), NonFinite);
    assert_eq!(with("F16", "[1]", &[0, 0x7c]).unwrap_err().code(), NonFinite);
    assert_eq!(with("BF16", "[1]", &[0x80, 0x7f]).unwrap_err().code(), NonFinite);
    refused(with("BOOL", "[3]", &[0, 1, 2]), OutOfRange, "/x", "value at index 2 is outside BOOL");
}

#[test]
fn no_part_of_a_file_is_a_file() {
    let whole = two();
    for end in 0..whole.len() {
        assert!(read(&whole[..end]).is_err(), "{end}");
    }
    assert!(read(&[&whole[..], &[0]].concat()).is_err());
    let whole = npy("<f4", "(1,)", &1.5_f32.to_le_bytes());
    for end in 0..whole.len() {
        assert!(read_npy(&whole[..end]).is_err(), "{end}");
    }
    assert!(read_npy(&[&whole[..], &[0]].concat()).is_err());
}

/// The same bytes with one word in the place of another of its length.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
    let (before, behind) = bytes.split_at(at);
    [before, to.as_bytes(), behind.get(from.len()..).unwrap()].concat()
}

fn read_npy(file: &[u8]) -> Result<Npy, Invalid> {
    Npy::read(&FileLimits::default(), file)
}

/// A file with this header, as it stands.
fn raw_npy(header: &str, data: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    raw_npy(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}      \n"), data)
}

#[test]
fn an_array_is_a_tensor() {
    let values = [1.0_f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat();
    let bytes = npy("<f4", "(2, 2)", &values);
    let read = read_npy(&bytes).unwrap();
    let tensor = read.tensor();
    assert_eq!((tensor.dtype(), tensor.shape(), tensor.bytes(&bytes)), (Dtype::Fp32, &[2, 2][..], &values[..]));
    assert!(read.check(&bytes, &TensorSpec::new(Dtype::Fp32, [-1, 2])).is_ok());
    let error = read.check(&bytes, &TensorSpec::new(Dtype::Fp64, [-1, 2]));
    refused(error, WrongDtype, "/dtype", "expected data type FP64, got FP32");
    let error = read.check(&bytes, &TensorSpec::new(Dtype::Fp32, [-1]));
    refused(error, WrongRank, "", "expected 1 dimensions, got 2");
    for (descr, width) in [
        ("|b1", 1),
        ("|u1", 1),
        ("|i1", 1),
        ("<u2", 2),
        ("<i2", 2),
        ("<u4", 4),
        ("<i4", 4),
        ("<u8", 8),
        ("<i8", 8),
        ("<f2", 2),
        ("<f4", 4),
        ("<f8", 8),
    ] {
        assert!(read_npy(&npy(descr, "()", &vec![0; width])).unwrap().tensor().shape().is_empty(), "{descr}");
        assert!(read_npy(&npy(descr, "(3,)", &vec![0; 3 * width])).is_ok(), "{descr}");
    }
    let header = "{'shape': (1,1,), 'fortran_order':False,'descr':'|u1'}\n";
    for version in [b"\x02\x00", b"\x03\x00"] {
        let long = [b"\x93NUMPY", &version[..], &(header.len() as u32).to_le_bytes(), header.as_bytes(), &[7]].concat();
        assert_eq!(read_npy(&long).unwrap().tensor().shape(), [1, 1]);
    }
}

#[test]
fn no_object_is_ever_read() {
    let objects = "expected numbers, got objects, which are never unpickled";
    refused(read_npy(&npy("|O", "(1,)", b"\x80\x04.")), WrongDtype, "/descr", objects);
    let big = "expected a little-endian data type, got a big-endian one";
    refused(read_npy(&npy(">f4", "(1,)", &[0; 4])), WrongDtype, "/descr", big);
    for descr in ["O", "|O8", "<f16", "<c8", "<U1", "|S4", "|V2", "<M8[ns]", "=f4", "f4", "float32", "<f4 ", "", "<b1"]
    {
        let error = read_npy(&npy(descr, "(1,)", &[0; 4])).unwrap_err();
        assert_eq!((error.code(), error.at().as_str()), (WrongDtype, "/descr"), "{descr}");
    }
    let record = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }\n";
    refused(read_npy(&raw_npy(record, &[0; 4])), BadHeader, "", "expected one data type in the header, got a record");
}

#[test]
fn the_literal_is_numpys_own() {
    let part = |from: &str, to: &str| {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n";
        assert!(header.contains(from), "{from}");
        read_npy(&raw_npy(&header.replace(from, to), &[0; 4]))
    };
    assert!(part(", }", "}").is_ok() && part("(1,)", "( 1 , )").is_ok() && part("\n", "    \n").is_ok());
    for (from, to) in [
        ("'descr'", "\"descr\""),
        ("'descr'", "descr"),
        ("'descr'", "b'descr'"),
        ("'descr'", "'d\\x65scr'"),
        ("{", ""),
        ("{", "{,"),
        ("{", "({"),
        ("}", ""),
        ("}", "},"),
        ("}", "})"),
        ("}", "} # x"),
        ("\n", ""),
        ("\n", "\n\n"),
        ("\n", "\t\n"),
        ("(1,)", "(1)"),
        ("(1,)", "1"),
        ("(1,)", "[1]"),
        ("(1,)", "(1,,)"),
        ("(1,)", "(,)"),
        ("(1,)", "(1 1)"),
        ("(1,)", "(01,)"),
        ("(1,)", "(+1,)"),
        ("(1,)", "(-1,)"),
        ("(1,)", "(1L,)"),
        ("(1,)", "(1_0,)"),
        ("(1,)", "(0x1,)"),
        ("(1,)", "(1.0,)"),
        ("(1,)", "(18446744073709551616,)"),
        ("(1,)", "('1',)"),
        ("(1,)", "(1,"),
        ("(1,)", "None"),
        ("False", "false"),
        ("False", "0"),
        ("False", "None"),
        ("False", "not True"),
        ("'<f4'", "None"),
        ("'<f4'", "'<f4"),
        ("'fortran_order': False, ", ""),
        ("'shape'", "'other'"),
        ("'descr'", "'descr': '<f4', 'descr'"),
        ("'shape'", "'shape': (1,), 'shape'"),
        ("'fortran_order'", "'fortran_order': False, 'fortran_order'"),
        ("}", "'more': 1}"),
        ("'descr':", "'descr'"),
        ("'descr': ", "'descr' = "),
        ("{", "dict("),
    ] {
        assert_eq!(part(from, to).unwrap_err().code(), BadHeader, "{from} -> {to}");
    }
    // Of one row both orders are the same.
    assert!(part("False", "True").is_ok());
    let square = npy("<f4", "(2, 2)", &[0; 16]);
    let turned = String::from_utf8_lossy(&square).contains("False").then(|| replaced(&square, "False", "True "));
    refused(read_npy(&turned.unwrap()), UnsupportedContent, "/fortran_order", "expected values in C order");
    let many = format!("({})", "1,".repeat(100_000 / 2));
    assert_eq!(read_npy(&npy("|u1", &many, &[0])).unwrap_err().code(), BadHeader);
}

#[test]
fn arrays_fit_their_files() {
    let message = "shape and data type need 8 bytes, got 4";
    refused(read_npy(&npy("<f4", "(2,)", &[0; 4])), WrongShape, "/shape", message);
    for shape in ["(4294967296, 4294967296)", "(18446744073709551615,)"] {
        assert_eq!(read_npy(&npy("<f4", shape, &[0; 4])).unwrap_err().code(), WrongShape, "{shape}");
    }
    refused(read_npy(&npy("<f4", "(0,)", &[])), EmptyInput, "/shape", "input is empty");
    refused(read_npy(&npy("|u1", "(1,1,1,1,1,1,1,1,1)", &[0])), WrongRank, "/shape", {
        "expected at most 8 dimensions, got 9"
    });
    refused(read_npy(&npy("<f4", "(1,)", &f32::INFINITY.to_le_bytes())), NonFinite, "", "non-finite value at index 0");
    refused(read_npy(&npy("|b1", "(1,)", &[2])), OutOfRange, "", "value at index 0 is outside BOOL");
    let version = |major, minor| read_npy(&[b"\x93NUMPY", &[major, minor][..], &[0; 20]].concat());
    refused(version(4, 0), BadHeader, "", "expected version 1.0, 2.0 or 3.0 of npy, got 4.0");
    assert!(version(1, 1).is_err() && version(0, 0).is_err());
    let long = [b"\x93NUMPY\x02\x00", &u32::MAX.to_le_bytes()[..], b"{"].concat();
    refused(read_npy(&long), BadHeader, "", "expected a header of at most 10000 bytes, got 4294967295");
    refused(read_npy(b"PK\x03\x04"), BadHeader, "", "expected an npy file");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\",:0-9a-zF()' .]{0,120}") {
        let _ = (read(&bytes), read(&file(&text, &bytes)), read(&file(&format!("{{{text}"), &bytes)));
        let _ = (read_npy(&bytes), read_npy(&raw_npy(&text, &bytes)), read_npy(&npy("<f4", &text, &bytes)));
    }

    /// Whatever is in a file is found again, in any order of keys.
    #[test]
    fn what_was_stored_is_read(
        tensors in prop::collection::vec((prop::collection::vec(1_u64..4, 0..4), any::<u64>()), 1..6),
        turn in any::<usize>(),
    ) {
        let (mut entries, mut data) = (Vec::new(), Vec::new());
        for (i, (shape, value)) in tensors.iter().enumerate() {
            let start = data.len() as u64;
            let count: u64 = shape.iter().product();
            (0..count).for_each(|at| data.extend(value.wrapping_add(at).to_le_bytes()));
            entries.push(entry(&format!("x{i}"), "U64", &format!("{shape:?}"), start, data.len() as u64));
        }
        let turn = turn % entries.len();
        entries.rotate_left(turn);
        let bytes = file(&format!("{{{}}}", entries.join(",")), &data);
        let read = read(&bytes).unwrap();
        for (i, ((shape, value), tensor)) in tensors.iter().zip(read.tensors()).enumerate() {
            prop_assert_eq!(tensor.name(), format!("x{i}"));
            prop_assert_eq!(tensor.shape(), &shape[..]);
            prop_assert_eq!(&tensor.bytes(&bytes)[..8], &value.to_le_bytes());
        }
    }

    /// One byte that is different makes a file that is refused, or one that says the same of its size.
    #[test]
    fn one_other_byte_never_reads_past_the_end(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = two();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = read(&bytes) {
            let all: u64 = read.tensors().iter().map(|tensor| tensor.range().end - tensor.range().start).sum();
            prop_assert_eq!(read.tensors().last().unwrap().range().end, bytes.len() as u64);
            prop_assert_eq!(all, 10);
        }
    }
}
