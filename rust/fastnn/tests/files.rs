//! Promises of the file formats: what is written is read back, what is damaged is refused, and
//! nothing that a file can say makes the reader panic or ask for memory that the file cannot fill.

use fastnn::dim::Dim;
use fastnn::error::{Error, Result};
use fastnn::function::Function;
use fastnn::graph::{Attr, Ty};
use fastnn::ops;
use fastnn::save::{self, File, Model};
use fastnn::shape::{DType, Shape};
use fastnn::tensor::{Storage, Tensor, Variable};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("fastnn-files-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn apply(name: &str, inputs: &[&Tensor], attrs: &[Attr]) -> Tensor {
    let op = ops::find(name).unwrap();
    let inputs: Vec<Tensor> = inputs.iter().map(|t| (*t).clone()).collect();
    let given = attrs.iter().cloned().map(Some).chain(std::iter::repeat(None));
    let attrs: Vec<Attr> =
        op.attrs.iter().zip(given).map(|(a, g)| g.or(a.default.clone()).unwrap()).collect();
    Tensor::apply(op, &inputs, &attrs).unwrap()
}

fn layer() -> (Function, Arc<Variable>) {
    let weights: Vec<f32> = (0..12).map(|i| i as f32 * 0.1 - 0.6).collect();
    let ty = Ty::f32(Shape::new(&[4, 3]).unwrap());
    let w = Variable::new(ty, Arc::new(Storage::from_slice(&weights).unwrap()), "w");
    let x = Tensor::placeholder(Ty::f32(Shape::with_batch(&[2, 2]).unwrap()), "x");
    let flat = apply("reshape", &[&x], &[Attr::Sizes(vec![Dim::BATCH, 4.into()])]);
    let y = apply("matmul", &[&flat, &Tensor::traced_variable(&w)], &[]);
    let bias = Tensor::from_slice(&[0.1, 0.2, 0.3], &[3]).unwrap();
    let y = apply("softmax", &[&apply("add", &[&y, &bias], &[])], &[]);
    let y = apply("multiply", &[&y, &Tensor::scalar(1.0 / 3.0, DType::F32).unwrap()], &[]);
    (Function::new(&[x], &[y], &[]).unwrap(), w)
}

fn saved(path: &std::path::Path) -> Vec<u8> {
    let (function, w) = layer();
    let tensors = [("dense/w".to_string(), Tensor::variable(&w, w.snapshot()))];
    save::save(
        path,
        &tensors,
        &BTreeMap::from([(save::CONFIG.to_string(), "{}".to_string())]),
        Some(&function),
    )
    .unwrap();
    std::fs::read(path).unwrap()
}

fn parse(bytes: &[u8]) -> Result<File> {
    save::read_from(&mut Cursor::new(bytes), bytes.len() as u64)
}

fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn a_saved_model_predicts_the_same_bits() {
    let folder = folder("bits");
    let path = folder.join("m.safetensors");
    saved(&path);
    let (function, _) = layer();
    let x: Vec<f32> = (0..28).map(|i| (i as f32).sin()).collect();
    let wanted = function.apply(&[Tensor::from_slice(&x, &[7, 2, 2]).unwrap()]).unwrap();
    let model = Model::load(&path).unwrap();
    assert_eq!(model.predict(&x, 7).unwrap(), &*wanted[0].storage().unwrap().as_slice());
    assert!(model.predict(&x, 8).unwrap_err().to_string().contains("'x'"));
    std::fs::remove_dir_all(folder).unwrap();
}

/// A model of one input of this type that gives a row of a table and the input itself.
fn numbered(dtype: DType, second: bool) -> Model {
    let x = Tensor::placeholder(Ty { shape: Shape::with_batch(&[]).unwrap(), dtype }, "x");
    let table = Tensor::from_slice(&[0.0, 1.5, 3.0], &[3]).unwrap();
    let y = match dtype {
        DType::I32 if second => x.clone(),
        DType::I32 => apply("take", &[&table, &x], &[Attr::Int(0)]),
        _ => apply(
            "where",
            &[&x, &Tensor::scalar(2.0, DType::F32).unwrap(), &Tensor::scalar(5.0, DType::F32).unwrap()],
            &[],
        ),
    };
    let function = Function::new(&[x], &[y], &[]).unwrap();
    let path = folder("numbered").join(format!("{dtype:?}-{second}.safetensors"));
    save::save(&path, &[], &BTreeMap::new(), Some(&function)).unwrap();
    Model::load(&path).unwrap()
}

#[test]
fn a_graph_that_is_a_part_of_its_model_is_read_as_such_only() {
    let x = Tensor::placeholder(Ty { shape: Shape::with_batch(&[]).unwrap(), dtype: DType::F32 }, "x");
    let function = Function::new(&[x.clone()], &[x], &[]).unwrap();
    let path = folder("part").join("model.safetensors");
    let before = BTreeMap::from([(save::BEFORE.to_string(), "[\"words\"]".to_string())]);
    save::save(&path, &[], &before, Some(&function)).unwrap();
    let error = Model::load(&path).unwrap_err().to_string();
    assert!(error.contains("[\"words\"]") && error.contains("hint:"), "{error}");
    assert_eq!(Model::load_graph(&path).unwrap().predict(&[2.0], 1).unwrap(), [2.0]);
}

#[test]
fn a_model_of_whole_numbers_or_truth_values_takes_and_gives_them_as_floats() {
    let model = numbered(DType::I32, false);
    assert_eq!(model.predict(&[2.0, 0.0, 1.0], 3).unwrap(), [3.0, 0.0, 1.5]);
    for bad in [0.5, f32::NAN, f32::INFINITY, 2_147_483_648.0] {
        let error = model.predict(&[0.0, bad], 2).unwrap_err().to_string();
        assert!(error.contains("'x' takes whole numbers, value 1 is"), "{error}");
        assert!(error.contains("hint:"), "{error}");
    }
    assert_eq!(numbered(DType::I32, true).predict(&[7.0, -3.0], 2).unwrap(), [7.0, -3.0]);
    let model = numbered(DType::Bool, false);
    assert_eq!(model.predict(&[0.0, 1.0, 0.5], 3).unwrap(), [5.0, 2.0, 2.0]);
}

#[test]
fn files_are_canonical_aligned_and_share_constants() {
    let folder = folder("layout");
    let path = folder.join("m.safetensors");
    let bytes = saved(&path);
    assert_eq!(bytes, saved(&path));
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!((header + 8) % 64, 0);
    let file = parse(&bytes).unwrap();
    // The weight is stored once, under its own name; the constant bias has a name of its own.
    assert_eq!(file.tensors.len(), 2);
    assert_eq!(bytes.len(), 8 + header + 4 * 15);
    assert!(file.tensors.contains_key("dense/w"));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn every_type_comes_back() {
    let folder = folder("types");
    let path = folder.join("t.safetensors");
    let shape = |dims: &[usize]| Shape::new(dims).unwrap();
    let ints = Storage::from_ints(&[7, -3]).unwrap();
    let tensors = [
        (
            "b".to_string(),
            Tensor::new(
                Ty { shape: shape(&[3]), dtype: DType::Bool },
                Arc::new(Storage::from_slice(&[1.0, 0.0, 1.0]).unwrap()),
            )
            .unwrap(),
        ),
        ("empty".to_string(), Tensor::from_slice(&[], &[0, 5]).unwrap()),
        ("i".to_string(), Tensor::new(Ty { shape: shape(&[2]), dtype: DType::I32 }, Arc::new(ints)).unwrap()),
        ("s".to_string(), Tensor::scalar(f64::NAN, DType::F32).unwrap()),
    ];
    save::save(&path, &tensors, &BTreeMap::new(), None).unwrap();
    let file = save::read(&path).unwrap();
    for (name, tensor) in &tensors {
        let (ty, storage) = &file.tensors[name];
        assert_eq!(*ty, tensor.ty());
        let bits = |s: &Storage| {
            let mut bytes = vec![0; s.bytes()];
            s.read(0, &mut bytes);
            bytes
        };
        assert_eq!(bits(storage), bits(tensor.storage().unwrap()), "{name}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn other_number_types_are_converted_exactly() {
    let header = r#"{"h":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},"l":{"dtype":"I64","shape":[1],"data_offsets":[6,14]}}"#;
    let mut data: Vec<u8> = [0x3c00u16, 0xc500, 0x0001].iter().flat_map(|v| v.to_le_bytes()).collect();
    data.extend((-5i64).to_le_bytes());
    let file = parse(&with_header(header, &data)).unwrap();
    // Half-precision floats are stored as they are; what we do not store is converted.
    let (ty, half) = &file.tensors["h"];
    assert_eq!((ty.dtype, half.bytes()), (DType::F16, 6));
    assert_eq!(half.numbers(), [1.0, -5.0, 2.0f32.powi(-24)]);
    assert_eq!(*file.tensors["l"].1.as_ints(), [-5]);
    data[6..].copy_from_slice(&(1i64 << 40).to_le_bytes());
    assert!(parse(&with_header(header, &data)).unwrap_err().to_string().contains("'l'"));
}

#[test]
fn inconsistent_headers_are_refused_by_name() {
    let entry = |name: &str, begin: usize, end: usize| {
        format!(r#""{name}":{{"dtype":"F32","shape":[2],"data_offsets":[{begin},{end}]}}"#)
    };
    let cases = [
        (format!("{{{},{}}}", entry("a", 0, 8), entry("b", 4, 12)), 12, "overlaps"),
        (format!("{{{},{}}}", entry("a", 0, 8), entry("b", 12, 20)), 20, "hole"),
        (format!("{{{},{}}}", entry("a", 0, 8), entry("a", 8, 16)), 16, "twice"),
        (format!("{{{}}}", entry("a", 0, 12)), 12, "does not take"),
        (format!("{{{}}}", entry("a", 0, 8)), 9, "9"),
        (format!("{{{}}}", entry("a", 8, 0)), 0, "does not take"),
        (r#"{"a":{"dtype":"F8","shape":[],"data_offsets":[0,1]}}"#.into(), 1, "F8"),
        (r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#.into(), 0, "'a'"),
        (r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}"#.into(), 0, "no size"),
        (r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"x":1}}"#.into(), 0, "'x'"),
        (r#"{"__metadata__":{"k":1}}"#.into(), 0, "'k'"),
        (format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200)), 0, "not valid JSON"),
        ("[]".into(), 0, "'{'"),
    ];
    for (header, size, wanted) in cases {
        let error = parse(&with_header(&header, &vec![0; size])).unwrap_err();
        assert!(matches!(&error, Error::Format(text) if text.contains(wanted)), "{wanted}: {error}");
    }
    for bytes in [&b""[..], b"junk", b"PK\x03\x04 more than eight bytes", &u64::MAX.to_le_bytes()] {
        assert!(matches!(parse(bytes), Err(Error::Format(_))));
    }
}

#[test]
fn damaged_graphs_are_refused_by_what_is_wrong() {
    let folder = folder("graphs");
    let path = folder.join("m.safetensors");
    saved(&path);
    let text = save::read(&path).unwrap().metadata[save::GRAPH].clone();
    for (from, to, wanted) in [
        ("\"matmul\"", "\"os.system\"", "os.system"),
        ("\"dense/w\"", "\"dense/v\"", "dense/v"),
        ("\"format\":2", "\"format\":3", "newer"),
        ("\"outputs\":[", "\"outputs\":[999,", "999"),
        ("\"slot\":0", "\"slot\":77", "slot"),
        ("transpose_a", "transpose_z", "transpose_z"),
        ("\"sizes\":[\"batch\"]", "\"sizes\":[\"ba tch\"]", "name of a size"),
        ("\"sizes\":[\"batch\"]", "\"sizes\":[{\"size\":0}]", "not a size"),
        ("\"sizes\":[\"batch\"]", "\"sizes\":[{\"sum\":[[1,0]]}]", "size 0"),
        ("\"sizes\":[\"batch\"]", "\"sizes\":[]", "size 0"),
        ("{\"attrs\":{\"shape\":[{\"size\":0},4]}", "{\"attrs\":{\"shape\":[{\"size\":0},5]}", "reshape"),
    ] {
        assert!(text.contains(from), "{from}");
        let mut file = save::read(&path).unwrap();
        file.metadata.insert(save::GRAPH.into(), text.replacen(from, to, 1));
        let error = Model::from_file(file).unwrap_err();
        assert!(matches!(&error, Error::Format(t) if t.contains(wanted)), "{wanted}: {error}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// A small generator of its own, so that the edits are the same on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

#[test]
fn a_hundred_thousand_damaged_files_are_refused_or_read_but_never_panic() {
    let folder = folder("mutations");
    let bytes = saved(&folder.join("m.safetensors"));
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
    let alphabet = b"0123456789-{}[]\",:nulltruefs.eE\\ \x00\xff";
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut refused, mut read) = (0, 0);
    for round in 0..100_000 {
        let mut damaged = bytes.clone();
        for _ in 0..=dice.below(3) {
            let at = dice.below(if round % 8 == 0 { damaged.len() } else { header.min(damaged.len()) });
            match dice.below(4) {
                0 => damaged[at] = dice.below(256) as u8,
                1 => damaged[at] = alphabet[dice.below(alphabet.len())],
                2 => damaged.truncate(at.max(1)),
                _ => damaged.insert(at, alphabet[dice.below(alphabet.len())]),
            }
        }
        if round % 2 == 0 && damaged.len() > 8 {
            // A right length lets the damage reach the JSON.
            let length = (header - 8 + damaged.len()).saturating_sub(bytes.len()) as u64;
            damaged[..8].copy_from_slice(&length.to_le_bytes());
        }
        match parse(&damaged).and_then(Model::from_file) {
            Ok(model) => {
                read += 1;
                // What was read must also run, or say why not.
                let inputs = model.function().inputs().iter();
                let cells = inputs.map(|i| i.ty.shape.dims()[1..].iter().product::<Dim>());
                let cells = cells.map(|d| d.known().unwrap_or(7) as usize).sum::<usize>();
                if cells < 1000 {
                    let _ = model.predict(&vec![0.5; 2 * cells], 2);
                }
            }
            Err(Error::Format(_) | Error::Memory(_)) => refused += 1,
            Err(other) => panic!("another kind of error: {other:?}"),
        }
    }
    assert!(refused > 50_000 && read > 100, "{refused} refused, {read} read");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_failed_save_leaves_the_old_file_and_no_litter() {
    let folder = folder("atomic");
    let path = folder.join("m.safetensors");
    let old = saved(&path);
    let twice = [
        ("a".to_string(), Tensor::scalar(1.0, DType::F32).unwrap()),
        ("a".to_string(), Tensor::scalar(2.0, DType::F32).unwrap()),
    ];
    assert!(matches!(
        save::save(&path, &twice, &BTreeMap::new(), None),
        Err(Error::Io(_) | Error::System(..))
    ));
    assert_eq!(std::fs::read(&path).unwrap(), old);
    // What a killed writer left is cleared by a save of a later day; a younger one may still be written.
    let stale = folder.join(".m.safetensors.4000000-0.fastnn-tmp");
    let foreign = folder.join(".other.4000000-0.fastnn-tmp");
    std::fs::write(&stale, b"half").unwrap();
    std::fs::write(&foreign, b"not ours").unwrap();
    saved(&path);
    assert!(stale.exists());
    let days_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 24 * 3600);
    std::fs::File::options().write(true).open(&stale).unwrap().set_modified(days_ago).unwrap();
    saved(&path);
    assert!(!stale.exists() && foreign.exists());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    assert!(matches!(save::read(&folder.join("none")), Err(Error::Io(_) | Error::System(..))));
    std::fs::remove_dir_all(folder).unwrap();
}

/// A file as fastnn wrote it before sizes were expressions: the batch is null, format is 1.
#[test]
fn files_of_format_1_are_read() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format1.safetensors");
    let model = Model::load(&path).unwrap();
    assert_eq!(model.function().inputs()[0].ty.shape.to_string(), "(batch, 2, 3)");
    let x: Vec<f32> = (0..30).map(|i| -1.0 + 2.0 * i as f32 / 29.0).collect();
    let got = model.predict(&x, 5).unwrap();
    let want = [0.343_278_68, 0.656_721_3, 0.408_932_2, 0.591_067_8, 0.494_414_6, 0.505_585_4];
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() < 1e-5, "{got:?}");
    }
    assert_eq!(got.len(), 10);
}

/// Sizes that a file leaves open, with expressions of all kinds, come back as they were.
#[test]
fn open_sizes_are_stored_as_expressions() {
    let folder = folder("open");
    let path = folder.join("m.safetensors");
    let time = Dim::symbol("time");
    let shape = Shape::new(&[Dim::BATCH, time, 2.into()]).unwrap();
    let x = Tensor::placeholder(Ty::f32(shape), "x");
    let (zero, far) = (Dim::ZERO, Dim::new(i64::MAX));
    let cut = |step: i64| {
        [
            Attr::Sizes(vec![zero, Dim::ONE, zero]),
            Attr::Sizes(vec![far, far, far]),
            Attr::Ints(vec![1, step, 1]),
        ]
    };
    let tail = apply("slice", &[&x], &cut(1));
    let odd = apply("slice", &[&x], &cut(2));
    assert_eq!(tail.ty().shape.to_string(), "(batch, max(time - 1, 0), 2)");
    assert_eq!(odd.ty().shape.to_string(), "(batch, (max(time - 1, 0) + 1)//2, 2)");
    let both = apply("concatenate", &[&tail, &odd], &[Attr::Int(1)]);
    let flat = apply("reshape", &[&both], &[Attr::Sizes(vec![Dim::BATCH, Dim::new(-1)])]);
    let function = Function::new(std::slice::from_ref(&x), std::slice::from_ref(&flat), &[]).unwrap();
    save::save(&path, &[], &Default::default(), Some(&function)).unwrap();
    let model = Model::load(&path).unwrap();
    assert_eq!(model.function().outputs(), function.outputs());
    for steps in [1usize, 2, 5, 8] {
        let data: Vec<f32> = (0..3 * steps * 2).map(|i| i as f32).collect();
        let input = Tensor::from_slice(&data, &[3, steps, 2]).unwrap();
        let got = model.function().apply(std::slice::from_ref(&input)).unwrap();
        let want = function.apply(std::slice::from_ref(&input)).unwrap();
        assert_eq!(got[0].ty(), want[0].ty());
        assert_eq!(got[0].ty().shape.sizes()[1], 2 * (steps - 1 + steps / 2));
        assert_eq!(got[0].storage().unwrap().as_slice(), want[0].storage().unwrap().as_slice());
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn sizes_of_hostile_files_stay_bounded() {
    // A chain of sizes that doubles in length at each step when it is written out.
    let mut size = Dim::symbol("n");
    for i in 0..2000 {
        let other = size.max(Dim::new(i)).floor_div(Dim::new(7)) + Dim::ONE;
        size = size * other + other.min(size);
    }
    assert!(size.to_string().len() < 100_000);
    let mut bindings = fastnn::dim::Bindings::new();
    bindings.set(Dim::symbol("n"), 3.into());
    let bound = fastnn::dim::Binder::new(&bindings).bind(size).unwrap();
    assert_eq!(bound.known(), Some(i64::MAX));
    assert!(matches!(Shape::new(&[bound]), Err(Error::Memory(_))));
}
