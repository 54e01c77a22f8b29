//! Sample inputs and attributes for every row of the op table, and small passes (lowering, reverse
//! differentiation) to test rows with, independent of the library's own.
#![allow(dead_code)]

use fastnn::graph::{Accept, Attr, Class, Graph, Host, Id, Kind, Node, OpDef, Ty, Vjp};
use fastnn::ops::Build;
use fastnn::shape::{DType, Shape};
use std::iter;

pub(crate) struct Case {
    pub(crate) op: &'static OpDef,
    pub(crate) inputs: Vec<Host>,
    pub(crate) attrs: Vec<Attr>,
}

impl Case {
    pub(crate) fn label(&self) -> String {
        let types: Vec<String> = self.inputs.iter().map(|h| h.ty.to_string()).collect();
        format!("{}({}) {:?}", self.op.name, types.join(", "), self.attrs)
    }
    /// The node's value and its parts.
    pub(crate) fn results(&self, g: &mut Graph, y: Id) -> Vec<Id> {
        (0..=self.op.parts.len()).map(|index| g.part(y, index)).collect()
    }
    /// A graph of this one row, with the row's value.
    pub(crate) fn graph(&self) -> (Graph, Vec<Id>, Id) {
        let mut g = Graph::new();
        let inputs: Vec<Id> = self.inputs.iter().map(|h| g.input(h.ty)).collect();
        let y = g.try_add(self.op, &inputs, &self.attrs).unwrap_or_else(|e| panic!("{}: {e}", self.label()));
        (g, inputs, y)
    }
}

/// splitmix64.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
    pub(crate) fn host(&mut self, dtype: DType, dims: &[usize], (low, high): (f32, f32)) -> Host {
        let shape = Shape::new(dims).unwrap();
        let (low, high) = (f64::from(low), f64::from(high));
        let mut draw = || match dtype {
            DType::F32 | DType::BF16 | DType::F16 => f64::from((low + (high - low) * self.next()) as f32),
            DType::I32 | DType::I8 | DType::U8 => (low + (high - low) * self.next()).floor(),
            DType::Bool => f64::from(u8::from(self.next() < 0.5)),
        };
        let data = (0..shape.count()).map(|_| draw()).collect();
        Host { ty: Ty { shape, dtype }, data }
    }
}

fn default_attrs(op: &OpDef) -> Option<Vec<Attr>> {
    op.attrs.iter().map(|a| a.default.clone()).collect()
}

fn ints(v: &[i64]) -> Attr {
    Attr::Ints(v.to_vec())
}

const END: i64 = i64::MAX;
const START: i64 = i64::MIN;

/// Shapes of the inputs, and attributes.
type Sample = (Vec<Vec<usize>>, Vec<Attr>);

/// Operands of attention, behind those that its gradient takes first; with an output it takes results too.
fn attention(first: &[Vec<usize>]) -> Vec<Sample> {
    let mut all = vec![];
    for (lone, groups, causal, rate) in
        [(false, 1, false, 0.0), (true, 2, true, 0.0), (false, 2, true, 0.0), (true, 1, false, 0.4)]
    {
        let beside = |shape: &[usize]| if lone { vec![] } else { shape.to_vec() };
        let mut shapes = first.to_vec();
        shapes.extend([vec![2, 3, 2, 2], vec![2, 4, groups, 2], vec![2, 4, groups, 3]]);
        shapes.extend([beside(&[2, 1, 3, 4]), beside(&[1, 2, 1, 4]), beside(&[2]), beside(&[2]), vec![4]]);
        if !first.is_empty() {
            shapes.extend([vec![2, 3, 2, 3], vec![2, 2, 3]]);
        }
        let attrs = vec![Attr::Float(0.5), Attr::Bool(causal), Attr::Float(rate), Attr::Int(1)];
        all.push((shapes, attrs));
    }
    all
}

/// Operands of a recurrence with `gates` gates, by letter: z for each step and gate, y for each step,
/// h a state, w weights, b a bias, m the mask, d drop; in full, and as scalars where that may be.
fn recurrent(gates: usize, operands: &[&str], attrs: &[&[Attr]]) -> Vec<Sample> {
    let mut all = vec![];
    for (k, attrs) in attrs.iter().enumerate() {
        for lone in [false, true] {
            let (batch, steps, units) = (2, 3 - k.min(1), 2);
            let shape = |&operand: &&str| match operand {
                "z" => vec![batch, steps, gates * units],
                "w" => vec![units, gates * units],
                _ if lone => vec![],
                "h" => vec![batch, units],
                "b" => vec![gates * units],
                "m" => vec![batch, steps],
                "d" => vec![batch, gates * units],
                _ => vec![batch, steps, units],
            };
            let mut shapes: Vec<Vec<usize>> = operands.iter().map(shape).collect();
            // Of the arrays for each step only an incoming gradient may be a scalar.
            if lone && operands[0] == "y" {
                for (shape, _) in shapes.iter_mut().zip(operands).skip(1).filter(|(_, o)| **o == "y") {
                    *shape = vec![batch, steps, units];
                }
            }
            all.push((shapes, attrs.to_vec()));
        }
    }
    all
}

/// Samples for rows whose inputs must fit together or whose attributes
/// have no defaults. Rows that are neither get the shapes below.
fn special(op: &OpDef) -> Option<Vec<Sample>> {
    let reductions = || {
        let mut all = vec![];
        for keep in [false, true] {
            for axis in [Attr::None, ints(&[0]), ints(&[-1]), ints(&[0, 2]), ints(&[1])] {
                all.push((vec![vec![2, 3, 4]], vec![axis, Attr::Bool(keep)]));
            }
        }
        all
    };
    let one = |dims: &[usize], attrs: &[Attr]| (vec![dims.to_vec()], attrs.to_vec());
    let b = Attr::Bool;
    let f = Attr::Float;
    let gru_attrs: [&[Attr]; 3] = [&[b(false), b(true)], &[b(true), b(false)], &[b(false), b(false)]];
    let simple_attrs: [&[Attr]; 3] =
        [&[b(false), Attr::Int(0)], &[b(true), Attr::Int(2)], &[b(false), Attr::Int(3)]];
    Some(match op.name {
        "sum" | "mean" | "max" | "min" | "prod" | "any" | "all" | "variance" | "std" | "logsumexp" => {
            reductions()
        }
        "argmax" | "argmin" => vec![
            one(&[3, 5], &[Attr::None, b(false)]),
            one(&[3, 5], &[Attr::Int(-1), b(false)]),
            one(&[3, 5], &[Attr::Int(0), b(true)]),
        ],
        "extent" => vec![one(&[3, 5], &[Attr::None]), one(&[3, 5], &[ints(&[1])])],
        "matmul" => vec![
            (vec![vec![3, 4], vec![4, 5]], vec![b(false), b(false)]),
            (vec![vec![4, 3], vec![4, 5]], vec![b(true), b(false)]),
            (vec![vec![3, 4], vec![5, 4]], vec![b(false), b(true)]),
            (vec![vec![4, 3], vec![5, 4]], vec![b(true), b(true)]),
            (vec![vec![2, 3, 4], vec![4, 5]], vec![b(false), b(false)]),
            (vec![vec![2, 3, 4], vec![5, 4]], vec![b(false), b(true)]),
            (vec![vec![2, 4, 3], vec![4, 5]], vec![b(true), b(false)]),
            (vec![vec![2, 4, 3], vec![5, 4]], vec![b(true), b(true)]),
            (vec![vec![3, 4], vec![2, 4, 2]], vec![b(false), b(false)]),
            (vec![vec![2, 1, 3, 4], vec![3, 4, 2]], vec![b(false), b(false)]),
        ],
        "dot" => vec![
            (vec![vec![4], vec![4]], vec![]),
            (vec![vec![3, 4], vec![4]], vec![]),
            (vec![vec![4], vec![4, 5]], vec![]),
            (vec![vec![2, 3, 4], vec![2, 4, 3]], vec![]),
            (vec![vec![], vec![3]], vec![]),
        ],
        "conv" => {
            let plain = [ints(&[]), ints(&[]), ints(&[]), Attr::Int(1)];
            let attrs =
                |s: &[i64], p: &[i64], d: &[i64], g: i64| vec![ints(s), ints(p), ints(d), Attr::Int(g)];
            vec![
                (vec![vec![2, 5, 3], vec![3, 3, 4]], plain.to_vec()),
                (vec![vec![2, 5, 4, 2], vec![3, 2, 2, 5]], attrs(&[2, 1], &[1, 1, 0, 1], &[], 1)),
                (vec![vec![1, 6, 5, 4], vec![2, 3, 2, 6]], attrs(&[], &[-1], &[2, 1], 2)),
                (vec![vec![1, 5, 5, 3], vec![3, 3, 1, 3]], attrs(&[2], &[-1], &[], 3)),
                (
                    vec![vec![1, 3, 4, 5, 2], vec![2, 2, 3, 2, 2]],
                    attrs(&[1, 2, 1], &[0, 1, 1, 0, 2, 1], &[], 1),
                ),
            ]
        }
        "conv_input_grad" => {
            let attrs = |size: &[i64], s: &[i64], p: &[i64], d: &[i64], g: i64| {
                vec![ints(size), ints(s), ints(p), ints(d), Attr::Int(g)]
            };
            vec![
                (vec![vec![2, 3, 4], vec![3, 3, 4]], attrs(&[5], &[], &[], &[], 1)),
                (vec![vec![2, 3, 3, 5], vec![3, 3, 2, 5]], attrs(&[6, 5], &[2, 2], &[1, 0, 1, 1], &[], 1)),
                (
                    vec![vec![1, 3, 3, 4], vec![2, 2, 2, 4]],
                    attrs(&[7, 9], &[2, 3], &[1, 0, 0, 0], &[3, 2], 2),
                ),
                (vec![vec![1, 3, 3, 3], vec![3, 3, 1, 3]], attrs(&[5, 5], &[2], &[-1], &[], 3)),
            ]
        }
        "conv_weight_grad" => {
            let attrs = |kernel: &[i64], s: &[i64], p: &[i64], d: &[i64], g: i64| {
                vec![ints(kernel), ints(s), ints(p), ints(d), Attr::Int(g)]
            };
            vec![
                (vec![vec![2, 5, 3], vec![2, 3, 4]], attrs(&[3], &[], &[], &[], 1)),
                (vec![vec![2, 6, 5, 2], vec![2, 3, 3, 5]], attrs(&[3, 3], &[2, 2], &[1, 0, 1, 1], &[], 1)),
                (vec![vec![1, 5, 5, 4], vec![1, 5, 5, 6]], attrs(&[3, 2], &[], &[-1], &[2, 1], 2)),
                (vec![vec![1, 5, 5, 3], vec![1, 3, 3, 3]], attrs(&[3, 3], &[2], &[-1], &[], 3)),
            ]
        }
        "max_pool" | "average_pool" | "max_pool_pick" => {
            let attrs = |w: &[i64], s: &[i64], p: &[i64]| {
                let mut attrs = vec![ints(w), ints(s), ints(p)];
                if op.name == "average_pool" {
                    attrs.push(b(p.len() > 1));
                }
                attrs
            };
            let all = [
                (vec![2, 7, 3], vec![2, 3, 3], attrs(&[3], &[2], &[])),
                (vec![1, 5, 6, 2], vec![1, 3, 3, 2], attrs(&[2, 3], &[2, 2], &[-1])),
                (vec![1, 4, 4, 17], vec![1, 4, 5, 17], attrs(&[2], &[1], &[1, 0, 1, 1])),
            ];
            let picks = op.name == "max_pool_pick";
            let shapes = |x: Vec<usize>, y: Vec<usize>| if picks { vec![x, y] } else { vec![x] };
            all.into_iter().map(|(x, y, attrs)| (shapes(x, y), attrs)).collect()
        }
        "max_pool_grad" | "average_pool_grad" => {
            let attrs = |size: &[i64], w: &[i64], s: &[i64], p: &[i64]| {
                let mut attrs = vec![ints(size), ints(w), ints(s), ints(p)];
                if op.name == "average_pool_grad" {
                    attrs.push(b(p.len() > 1));
                }
                attrs
            };
            let all = [
                (vec![2, 3, 3], attrs(&[7], &[3], &[2], &[])),
                (vec![1, 3, 3, 2], attrs(&[5, 6], &[2, 3], &[2, 2], &[-1])),
                (vec![1, 4, 5, 17], attrs(&[4, 4], &[2], &[1], &[1, 0, 1, 1])),
            ];
            let inputs = op.args.len();
            all.into_iter().map(|(dy, attrs)| (vec![dy; inputs], attrs)).collect()
        }
        "resample" | "resample_grad" => {
            let all = [
                (vec![2, 4, 5, 3], [6, 7], [2, 3]),
                (vec![1, 5, 4, 1], [3, 2], [3, 1]),
                (vec![1, 3, 3, 17], [7, 3], [2, 2]),
            ];
            let back = op.name == "resample_grad";
            all.into_iter()
                .map(|(x, made, taps)| {
                    let dy = vec![x[0], made[0], made[1], x[3]];
                    let size = ints(&[x[1] as i64, x[2] as i64]);
                    let tables = (0..2).flat_map(|k| [vec![made[k]], vec![made[k], taps[k]]]);
                    let image = if back { dy } else { x };
                    (iter::once(image).chain(tables).collect(), if back { vec![size] } else { vec![] })
                })
                .collect()
        }
        "clip" => vec![one(&[3, 5], &[f(-1.0), f(1.5)])],
        "cast" => [DType::F32, DType::I32, DType::Bool].map(|d| one(&[3, 5], &[Attr::DType(d)])).to_vec(),
        "reshape" => vec![one(&[3, 4], &[ints(&[2, 6])]), one(&[3, 4], &[ints(&[2, -1, 1])])],
        "expand_dims" => vec![one(&[3, 4], &[ints(&[0, -1])]), one(&[3, 4], &[Attr::Int(1)])],
        "sum_to" => vec![
            one(&[2, 3, 4], &[ints(&[3, 1])]),
            one(&[2, 3], &[ints(&[1, 3])]),
            one(&[2, 3], &[ints(&[2, 3])]),
            one(&[3, 4], &[ints(&[])]),
        ],
        "squeeze" => vec![one(&[1, 3, 1], &[ints(&[0])]), one(&[1, 3, 1], &[ints(&[0, -1])])],
        "transpose" => vec![one(&[2, 3, 4], &[Attr::None]), one(&[2, 3, 4], &[ints(&[1, -1, 0])])],
        "broadcast_to" => vec![one(&[3, 1], &[ints(&[2, 3, 4])]), one(&[], &[ints(&[3])])],
        "flip" => vec![one(&[3, 4], &[Attr::None]), one(&[3, 4], &[ints(&[-1])])],
        "slice" => vec![
            one(&[5, 6], &[ints(&[1, 0]), ints(&[4, END]), ints(&[2, 3])]),
            one(&[5, 6], &[ints(&[-1, 5]), ints(&[START, 1]), ints(&[-1, -2])]),
            one(&[5, 6], &[ints(&[-2, 6]), ints(&[-1, 9]), ints(&[1, 1])]),
        ],
        "unslice" => vec![
            one(&[2, 2], &[ints(&[5, 6]), ints(&[1, 0]), ints(&[4, END]), ints(&[2, 3])]),
            one(&[5, 2], &[ints(&[5, 6]), ints(&[-1, 5]), ints(&[START, 1]), ints(&[-1, -2])]),
            one(&[], &[ints(&[]), ints(&[]), ints(&[]), ints(&[])]),
        ],
        "pad" => {
            vec![one(&[2, 3], &[ints(&[1, 0, 2, 3]), f(7.0)]), one(&[2, 3], &[ints(&[0, 2, 1, 0]), f(0.0)])]
        }
        "concatenate" => vec![
            (vec![vec![2, 3], vec![2, 1], vec![2, 4]], vec![Attr::Int(-1)]),
            (vec![vec![1, 3], vec![0, 3], vec![2, 3]], vec![Attr::Int(0)]),
        ],
        "stack" => {
            vec![(vec![vec![2, 3]; 3], vec![Attr::Int(-1)]), (vec![vec![2, 3]; 2], vec![Attr::Int(0)])]
        }
        "tile" => {
            vec![one(&[2, 3], &[ints(&[2, 2])]), one(&[3], &[ints(&[2, 2])]), one(&[2, 3], &[ints(&[3])])]
        }
        "repeat" => {
            vec![one(&[2, 3], &[Attr::Int(2), Attr::Int(0)]), one(&[2, 3], &[Attr::Int(3), Attr::Int(-1)])]
        }
        "roll" => {
            vec![one(&[2, 5], &[Attr::Int(2), Attr::Int(1)]), one(&[4, 2], &[Attr::Int(-9), Attr::Int(0)])]
        }
        "sort" => vec![one(&[3, 5], &[Attr::Int(-1)]), one(&[3, 4, 2], &[Attr::Int(1)])],
        "top_k" => vec![
            one(&[3, 5], &[Attr::Int(2)]),
            one(&[2, 40], &[Attr::Int(37)]),
            one(&[4], &[Attr::Int(4)]),
            one(&[2, 3], &[Attr::Int(0)]),
        ],
        "all_reduce" => vec![
            (vec![vec![3, 4], vec![]], vec![Attr::Int(1), Attr::Bool(false)]),
            (vec![vec![0, 2], vec![]], vec![Attr::Int(2), Attr::Bool(false)]),
            (vec![vec![5, 17], vec![]], vec![Attr::Int(3), Attr::Bool(true)]),
        ],
        "dynamic_slice" => vec![
            (vec![vec![4, 5], vec![2]], vec![ints(&[0, 1]), ints(&[2, 3])]),
            (vec![vec![2, 5, 3], vec![1]], vec![ints(&[-2]), ints(&[2])]),
            (vec![vec![6], vec![]], vec![ints(&[0]), ints(&[6])]),
            (vec![vec![2, 3], vec![0]], vec![ints(&[]), ints(&[])]),
        ],
        "update_slice" => vec![
            (vec![vec![4, 5], vec![2, 3], vec![2]], vec![ints(&[0, 1])]),
            (vec![vec![2, 5, 3], vec![2, 2, 3], vec![]], vec![ints(&[1])]),
            (vec![vec![6], vec![0], vec![1]], vec![ints(&[-1])]),
            (vec![vec![2, 3], vec![2, 3], vec![2]], vec![ints(&[1, 0])]),
        ],
        "cumsum" => vec![one(&[3, 4], &[Attr::Int(-1)]), one(&[3, 4, 2], &[Attr::Int(1)])],
        "softmax" | "log_softmax" => {
            vec![
                one(&[3, 5], &[Attr::Int(-1)]),
                one(&[3, 4, 2], &[Attr::Int(0)]),
                one(&[3, 4, 2], &[Attr::Int(1)]),
            ]
        }
        "softmax_cross_entropy" => vec![(vec![vec![3, 5]; 2], vec![])],
        "sparse_softmax_cross_entropy" => {
            vec![(vec![vec![4, 3], vec![4]], vec![]), (vec![vec![2, 2, 3], vec![2, 2]], vec![])]
        }
        "axis_size" => vec![(vec![], vec![Attr::Size(5.into())])],
        "iota" => [DType::F32, DType::I32].map(|d| (vec![], vec![Attr::Int(5), Attr::DType(d)])).to_vec(),
        "full" => vec![(vec![], vec![ints(&[2, 3]), f(2.5), Attr::DType(DType::F32)])],
        "eye" => vec![
            (vec![], vec![Attr::Int(3), Attr::None, Attr::Int(0)]),
            (vec![], vec![Attr::Int(3), Attr::Int(4), Attr::Int(1)]),
        ],
        "one_hot" => vec![one(&[4], &[Attr::Int(3)]), one(&[2, 2], &[Attr::Int(2)])],
        "take" => vec![
            (vec![vec![3, 4], vec![2, 3]], vec![Attr::Int(0)]),
            (vec![vec![2, 3, 2], vec![5]], vec![Attr::Int(1)]),
            (vec![vec![3, 4], vec![3]], vec![Attr::None]),
        ],
        "take_grad" => vec![
            (vec![vec![2, 3, 4], vec![2, 3]], vec![ints(&[3, 4]), Attr::Int(0)]),
            (vec![vec![2, 5, 2], vec![5]], vec![ints(&[2, 3, 2]), Attr::Int(1)]),
            (vec![vec![3], vec![3]], vec![ints(&[3, 4]), Attr::None]),
        ],
        "take_along_axis" => vec![
            (vec![vec![3, 4], vec![2, 4]], vec![Attr::Int(0)]),
            (vec![vec![2, 3, 2], vec![2, 5, 2]], vec![Attr::Int(1)]),
        ],
        "take_along_axis_grad" => vec![
            (vec![vec![2, 4], vec![2, 4]], vec![ints(&[3, 4]), Attr::Int(0)]),
            (vec![vec![2, 5, 2], vec![2, 5, 2]], vec![ints(&[2, 3, 2]), Attr::Int(1)]),
        ],
        "layer_norm" => [(vec![5], vec![], true), (vec![], vec![5], false), (vec![5], vec![5], true)]
            .map(|(gamma, beta, center)| (vec![vec![2, 3, 5], gamma, beta], vec![f(1e-3), b(center)]))
            .to_vec(),
        "layer_norm_grad" => [(vec![5], true), (vec![], false)]
            .map(|(gamma, center)| {
                (vec![vec![2, 3, 5], vec![2, 3, 5], gamma, vec![2, 3], vec![2, 3]], vec![b(center)])
            })
            .to_vec(),
        "attention" => attention(&[]),
        "attention_grad" => attention(&[vec![2, 3, 2, 3]]),
        "lstm" => recurrent(4, &["z", "w", "h", "h", "m", "d"], &[&[b(false)], &[b(true)]]),
        "lstm_grad" => {
            recurrent(4, &["y", "h", "h", "w", "z", "y", "h", "m", "d"], &[&[b(false)], &[b(true)]])
        }
        "gru" => recurrent(3, &["z", "w", "b", "h", "m", "d"], &gru_attrs),
        "gru_grad" => recurrent(3, &["y", "h", "w", "z", "y", "y", "m", "d"], &gru_attrs),
        "simple_rnn" => recurrent(1, &["z", "w", "h", "m", "d"], &simple_attrs),
        "simple_rnn_grad" => recurrent(1, &["y", "h", "w", "z", "m", "d"], &simple_attrs),
        "random_uniform" | "random_normal" => vec![(vec![vec![4]], vec![ints(&[3, 77]), Attr::Int(2)])],
        "random_integers" => {
            vec![(vec![vec![4]], vec![ints(&[3, 77]), Attr::Int(-3), Attr::Int(9), Attr::Int(2)])]
        }
        "random_permutation" => vec![(vec![vec![4]], vec![Attr::Int(131), Attr::Int(2)])],
        "dropout" => vec![(vec![vec![3, 5], vec![4]], vec![f(0.4), Attr::Int(1)])],
        _ => return None,
    })
}

/// The element types of the inputs.
fn dtypes(op: &OpDef, count: usize) -> Vec<DType> {
    (0..count)
        .map(|i| match (op.accept, *op.args.get(i).unwrap_or(&"")) {
            (Accept::Truth, _) | (_, "cond" | "mask") => DType::Bool,
            (_, "indices" | "labels" | "key" | "start" | "lengths" | "row_at" | "column_at") => DType::I32,
            _ => DType::F32,
        })
        .collect()
}

fn domain(op: &OpDef, i: usize) -> (f32, f32) {
    *op.domain.get(i).or(op.domain.last()).unwrap_or(&(-1.0, 1.0))
}

/// The cases of a row with float inputs (whole and truth inputs where the row wants them).
pub(crate) fn cases(op: &'static OpDef) -> Vec<Case> {
    let mut rng = Rng(op.name.bytes().fold(7, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b))));
    let shapes = special(op).unwrap_or_else(|| {
        let attrs = default_attrs(op).unwrap_or_else(|| panic!("write down cases for the row {}", op.name));
        let all: &[&[&[usize]]] = match op.args.len() {
            1 => &[&[&[3, 5]], &[&[2, 1, 4]]],
            2 => &[&[&[3, 5], &[3, 5]], &[&[3, 5], &[5]], &[&[3, 1], &[1, 5]], &[&[1, 2], &[2, 3, 2]]],
            3 => &[&[&[3, 5], &[3, 5], &[3, 5]], &[&[5], &[3, 1], &[1, 1]], &[&[2, 3], &[], &[3]]],
            n => panic!("write down cases for the row {} of {n} inputs", op.name),
        };
        all.iter().map(|shapes| (shapes.iter().map(|s| s.to_vec()).collect(), attrs.clone())).collect()
    });
    let mut out = vec![];
    for (shapes, attrs) in shapes {
        let types = dtypes(op, shapes.len());
        let inputs = shapes
            .iter()
            .zip(types)
            .enumerate()
            .map(|(i, (dims, dtype))| rng.host(dtype, dims, domain(op, i)));
        out.push(Case { op, inputs: inputs.collect(), attrs });
    }
    out
}

/// The graph without composites.
pub(crate) fn lower(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    while graph.nodes.iter().any(|n| n.op.class == Class::Composite) {
        let mut to = Graph { data: graph.data.clone(), inputs: graph.inputs.clone(), ..Graph::default() };
        let mut map: Vec<Id> = vec![];
        for node in &graph.nodes {
            let inputs: Vec<Id> = node.inputs.iter().map(|i| map[i.at()]).collect();
            let id = match node.op.kind {
                Kind::Lowered(rule) => rule(&mut to, &inputs, &node.attrs).unwrap(),
                _ => to.push(Node { inputs, ..node.clone() }),
            };
            assert_eq!(to.ty(id), node.ty, "lowering {} changes its type", node.op.name);
            if node.op.name == "input" {
                to.inputs[node.attrs[0].int() as usize] = id;
            }
            map.push(id);
        }
        to.check().unwrap();
        to.outputs = graph.outputs.iter().map(|o| map[o.at()]).collect();
        graph = to;
    }
    graph
}

/// Gradients of the scalar `y` of a lowered graph by its input slots.
pub(crate) fn gradients(g: &mut Graph, y: Id) -> Vec<Id> {
    // Loops, and rows that are differentiated through loops, are left to the library.
    if g.nodes.iter().any(|n| matches!(n.op.vjp, Vjp::Body | Vjp::Short { .. } | Vjp::Through(_))) {
        let inputs = g.inputs.clone();
        return fastnn::passes::grad::gradients(g, y, None, &inputs).unwrap();
    }
    let mut grads: Vec<Option<Id>> = vec![None; y.at() + 1];
    grads[y.at()] = Some(g.scalar(1.0));
    for i in (0..=y.at()).rev() {
        let (Some(dy), node) = (grads[i], g.nodes[i].clone()) else { continue };
        let back = match node.op.vjp {
            Vjp::Rule(rule) => Some(rule(g, Id(i as u32), &node.inputs, dy)),
            Vjp::Parts(rule) => {
                let mut dys = vec![None; node.op.parts.len() + 1];
                dys[0] = Some(dy);
                Some(rule(g, Id(i as u32), &node.inputs, &dys))
            }
            _ => None,
        };
        if let Some(back) = back {
            assert_eq!(back.len(), node.inputs.len(), "{} gives one gradient per input", node.op.name);
            for (input, grad) in node.inputs.iter().zip(back) {
                let Some(grad) = grad else { continue };
                let (have, want) = (g.shape(grad), g.shape(*input));
                let met = have.dims().iter().zip(want.dims()).all(|(a, b)| a.meet(*b).is_some());
                assert!(
                    met && have.rank() == want.rank(),
                    "gradient of {} has the shape of its input: {have}, wanted {want}",
                    node.op.name
                );
                let grad = g.reshape_to(grad, &want);
                grads[input.at()] = Some(grads[input.at()].map_or(grad, |so_far| g.add_(so_far, grad)));
            }
        }
    }
    g.check().unwrap();
    let inputs = g.inputs.clone();
    inputs.iter().map(|x| grads[x.at()].unwrap_or_else(|| g.zeros_like(*x))).collect()
}

/// `sum(y * weights)` as a scalar node, with fixed uneven weights.
pub(crate) fn weigh(g: &mut Graph, y: Id) -> Id {
    let shape = g.shape(y);
    let n = g.iota(shape.elements());
    let n = g.to_float(n);
    let n = g.mul_scalar(n, 0.37);
    let n = g.add_scalar(n, 0.5);
    let w = g.sin(n);
    let w = g.reshape_to(w, &shape);
    let y = g.to_float(y);
    let product = g.mul(y, w);
    g.sum_all(product)
}
