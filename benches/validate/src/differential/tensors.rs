//! Tensor requests, made up.

use bench_validate::measure::Random;
use core_validate::Dtype;

use crate::differential::documents::{name, number, text};
use crate::differential::write::Doc;

/// A tensor request; binary data goes to `tail`.
pub(crate) fn request(random: &mut Random, tail: &mut Vec<u8>) -> Doc {
    let is_binary = random.is(0.2);
    let inputs = (0..1 + random.below(3))
        .map(|i| {
            let tail = (is_binary && random.is(0.8)).then_some(&mut *tail);
            tensor(i, random, tail)
        })
        .collect();
    let mut fields = vec![("inputs".to_owned(), Doc::List(inputs))];
    if random.is(0.3) {
        fields.insert(0, ("id".to_owned(), Doc::Text(name(random))));
    }
    if random.is(0.3) {
        let mut output = vec![("name", Doc::text("y"))];
        if random.is(0.5) {
            output.push(("parameters", Doc::map([("binary_data", Doc::Bool(random.is(0.5)))])));
        }
        let output = output.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        fields.insert(random.below(2), ("outputs".to_owned(), Doc::List(vec![Doc::Map(output)])));
    }
    if random.is(0.2) {
        let key = random.of(&["binary_data_output", "priority", "-"]).copied().unwrap_or_default();
        let value = random.of(&["1", "0", "-0", "18446744073709551615", "true", "1.0"]).copied().unwrap_or_default();
        fields.push(("parameters".to_owned(), Doc::map([(key, Doc::Raw(value.to_owned()))])));
    }
    Doc::Map(fields)
}

fn tensor(i: usize, random: &mut Random, tail: Option<&mut Vec<u8>>) -> Doc {
    let dtype = random.of(&Dtype::ALL).copied().unwrap_or(Dtype::Fp32);
    let shape: Vec<usize> = (0..1 + random.below(3)).map(|_| 1 + random.below(4)).collect();
    let count = shape.iter().product();
    let sizes = shape.iter().map(|size| Doc::int(*size as i64)).collect();
    let mut fields = vec![
        ("name".to_owned(), Doc::text(format!("x{i}"))),
        ("shape".to_owned(), Doc::List(sizes)),
        ("datatype".to_owned(), Doc::text(dtype.as_str())),
    ];
    if let Some(tail) = tail {
        let before = tail.len();
        (0..count).for_each(|_| element(dtype, random, tail));
        let size = (tail.len() - before) as i64;
        fields.push(("parameters".to_owned(), Doc::map([("binary_data_size", Doc::int(size))])));
        return Doc::Map(fields);
    }
    let mut values: Vec<Doc> = (0..count).map(|_| value(dtype, random)).collect();
    if random.is(0.5) {
        for size in shape.iter().skip(1).rev() {
            values = values.chunks(*size).map(|row| Doc::List(row.to_vec())).collect();
        }
    }
    // Now and then before the shape is known.
    let place = if random.is(0.2) { random.below(3) } else { 3 };
    fields.insert(place, ("data".to_owned(), Doc::List(values)));
    if random.is(0.1) {
        let parameters = if random.is(0.5) { Doc::map([]) } else { Doc::map([("content_type", Doc::text("np"))]) };
        fields.push(("parameters".to_owned(), parameters));
    }
    Doc::Map(fields)
}

fn value(dtype: Dtype, random: &mut Random) -> Doc {
    let below = |random: &mut Random, end: usize| Doc::int(random.below(end) as i64);
    match dtype {
        Dtype::Bool => {
            random.of(&[Doc::Bool(true), Doc::Bool(false), Doc::int(0), Doc::int(1)]).cloned().unwrap_or(Doc::Null)
        }
        Dtype::Bytes => Doc::Text(text(random)),
        Dtype::Uint64 => Doc::Number(random.draw().to_string()),
        Dtype::Int64 => Doc::Number((random.draw() as i64).to_string()),
        Dtype::Int8 => Doc::Number((random.draw() as i8).to_string()),
        Dtype::Fp16 | Dtype::Bf16 | Dtype::Fp32 | Dtype::Fp64 => match random.below(4) {
            0 => Doc::Number(number(random)),
            1 => Doc::Number((random.unit() as f32).to_string()),
            2 => Doc::Number((random.unit() * 2.0 - 1.0).to_string()),
            _ => below(random, 256),
        },
        _ => below(random, 128),
    }
}

/// One element in the binary form.
fn element(dtype: Dtype, random: &mut Random, tail: &mut Vec<u8>) {
    match dtype {
        Dtype::Bool => tail.push(random.below(2) as u8),
        Dtype::Bytes => {
            let text = text(random);
            tail.extend(u32::try_from(text.len()).unwrap_or_default().to_le_bytes());
            tail.extend(text.as_bytes());
        }
        Dtype::Uint8 | Dtype::Int8 => tail.push(random.draw() as u8),
        Dtype::Fp16 | Dtype::Bf16 => tail.extend(0x3c00_u16.to_le_bytes()),
        Dtype::Uint16 | Dtype::Int16 => tail.extend((random.draw() as u16).to_le_bytes()),
        Dtype::Fp32 => tail.extend((random.unit() as f32).to_le_bytes()),
        Dtype::Uint32 | Dtype::Int32 => tail.extend((random.draw() as u32).to_le_bytes()),
        Dtype::Fp64 => tail.extend(random.unit().to_le_bytes()),
        _ => tail.extend(random.draw().to_le_bytes()),
    }
}
