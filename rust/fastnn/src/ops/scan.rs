//! The row that runs a graph round by round. Inputs are the first carries, arrays of which each round
//! reads one slice of the first axis, and values that all rounds share; the graph's inputs are the same
//! three, one slice at a time. Its outputs are the next carries, then what each round gives; results
//! are the last carries and the gifts of all rounds, stacked. Nodes of this row are made by tracing.

use super::rule::meet;
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Accept, Attr, AttrDef, AttrKind, Class, Graph, Id, Kind, Node, OpDef, Ty, Vjp};
use crate::shape::Shape;
use crate::{data_err, shape_err};

/// The row `scan`.
pub static SCAN: OpDef = OpDef {
    name: "scan",
    args: &["*values"],
    attrs: &[
        AttrDef { name: "body", kind: AttrKind::Body, default: None },
        AttrDef { name: "carries", kind: AttrKind::Int, default: None },
        AttrDef { name: "slices", kind: AttrKind::Int, default: None },
        AttrDef { name: "length", kind: AttrKind::Size, default: None },
        AttrDef { name: "reverse", kind: AttrKind::Bool, default: Some(Attr::Bool(false)) },
    ],
    doc: "Runs a graph round by round along the first axis of its slices, handing carries on.",
    class: Class::Kernel,
    accept: Accept::Exact,
    infer: |types, attrs| result_type(0, types, attrs),
    vjp: Vjp::Body,
    kind: Kind::Scan(result_type),
    ..OpDef::PLAIN
};

/// The attributes of a scan by name.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    /// What a round computes.
    pub body: &'a Graph,
    /// Values handed on from round to round: the first inputs and the first outputs.
    pub carries: usize,
    /// Arrays read slice by slice, the inputs after the carries.
    pub slices: usize,
    /// Rounds.
    pub length: Dim,
    /// From the last slice to the first.
    pub reverse: bool,
}

impl<'a> Scan<'a> {
    /// Of a node of this row; `None` for other nodes.
    #[must_use]
    pub fn of(node: &'a Node) -> Option<Scan<'a>> {
        matches!(node.op.kind, Kind::Scan(_)).then(|| Scan::read(&node.attrs).ok())?
    }

    fn read(attrs: &'a [Attr]) -> Result<Scan<'a>> {
        let [body, carries, slices, length, reverse] = attrs else {
            return data_err!("scan: takes 5 attributes, got {}\n  hint: trace it", attrs.len());
        };
        let (Some(body), Ok(carries), Ok(slices)) =
            (body.body(), usize::try_from(carries.int()), usize::try_from(slices.int()))
        else {
            return data_err!("scan: needs a body, and numbers of carries and slices\n  hint: trace it");
        };
        Ok(Scan { body: &body.graph, carries, slices, length: length.size(), reverse: reverse.flag() })
    }

    /// The same as attributes, with another body.
    #[must_use]
    pub fn attrs(&self, body: std::sync::Arc<crate::graph::Body>) -> Vec<Attr> {
        vec![
            Attr::Body(body),
            Attr::Int(self.carries as i64),
            Attr::Int(self.slices as i64),
            Attr::Size(self.length),
            Attr::Bool(self.reverse),
        ]
    }

    /// Shape and type of a result that each round makes one of.
    fn stacked(&self, ty: Ty) -> Result<Ty> {
        Ok(Ty { shape: stacked(self.length, &ty.shape)?, dtype: ty.dtype })
    }
}

/// A shape behind a new first axis.
pub fn stacked(length: Dim, shape: &Shape) -> Result<Shape> {
    let mut dims = vec![length];
    dims.extend_from_slice(shape.dims());
    Shape::new(&dims)
}

fn fits(got: Ty, want: Ty) -> bool {
    got.dtype == want.dtype && meet(got.shape.dims(), want.shape.dims()).is_some()
}

/// Shape and type of result `index`; rejects inputs that do not fit the body.
fn result_type(index: usize, types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    let scan = Scan::read(attrs)?;
    let Scan { body, carries, slices, length, .. } = scan;
    if body.inputs.len() != types.len() || carries.saturating_add(slices) > types.len() {
        return data_err!(
            "scan: {} values for a body of {} inputs, {carries} of them carries and {slices} slices\n  hint: trace it",
            types.len(),
            body.inputs.len()
        );
    }
    if body.outputs.len() < carries.max(1) {
        return data_err!(
            "scan: a body of {} results for {carries} carries\n  hint: a round gives the next carries and what is kept",
            body.outputs.len()
        );
    }
    if length.is_negative() {
        return shape_err!("scan: {length} rounds\n  hint: a length is 0 or more");
    }
    for (at, (&ty, &input)) in types.iter().zip(&body.inputs).enumerate() {
        let want = body.ty(input);
        let slice = (carries..carries + slices).contains(&at);
        let own = match ty.shape.dims().split_first() {
            Some((&first, rest)) if slice => {
                if first.meet(length).is_none() {
                    return shape_err!(
                        "scan: {ty} has {first} slices, wanted {length}\n  hint: arrays of one length"
                    );
                }
                Ty { shape: Shape::new(rest)?, dtype: ty.dtype }
            }
            None if slice => {
                return shape_err!("scan: {ty} has no slices\n  hint: an array with a first axis");
            }
            _ => ty,
        };
        if !fits(own, want) {
            return shape_err!(
                "scan: a round reads {own}, its body was traced for {want}\n  hint: trace it again"
            );
        }
    }
    for (at, &output) in body.outputs.iter().take(carries).enumerate() {
        let (old, new) = (types[at], body.ty(output));
        if !fits(new, old) {
            return shape_err!(
                "scan: a round turns a carry of {old} into {new}\n  hint: give init the shape and type of the results"
            );
        }
    }
    match body.outputs.get(index) {
        Some(_) if index < carries => Ok(types[index]),
        Some(&output) => scan.stacked(body.ty(output)),
        None => data_err!(
            "scan: there is no result {index}, the body gives {}\n  hint: results count from 0",
            body.outputs.len()
        ),
    }
}

/// Adds a scan over `inputs` (carries, slices, shared values); gives all its results.
pub fn scan(g: &mut Graph, inputs: &[Id], attrs: &[Attr]) -> Result<Vec<Id>> {
    let id = g.try_add(&SCAN, inputs, attrs)?;
    Ok((0..crate::graph::results(&SCAN, attrs)).map(|k| g.part(id, k)).collect())
}
