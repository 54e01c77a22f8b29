//! How long graphs of growing size take to compile: `cargo run --release --example compile_time`.
//! The time per node should not grow with the graph.

use fastnn::error::Result;
use fastnn::exec::cpu::Program;
use fastnn::graph::{Graph, Id, Ty};
use fastnn::ops::build::Build;
use fastnn::shape::Shape;
use std::io::Write;
use std::time::Instant;

/// Elementwise nodes one after the other, read again far below: long skips across the graph.
fn skips(nodes: usize) -> Result<Graph> {
    let mut g = Graph::new();
    let x = g.input(Ty::f32(Shape::new(&[4, 6])?));
    let mut values: Vec<Id> = vec![x];
    for i in 0..nodes {
        let (last, far) = (values[i], values[i / 2]);
        let y = if i % 3 == 0 { g.tanh(last) } else { g.add_(last, far) };
        values.push(y);
    }
    g.outputs = vec![values[nodes]];
    Ok(g)
}

/// Reductions whose results feed readers of what they reduced.
fn reductions(nodes: usize) -> Result<Graph> {
    let mut g = Graph::new();
    let mut x = g.input(Ty::f32(Shape::new(&[4, 6])?));
    for _ in 0..nodes / 4 {
        let t = g.tanh(x);
        let m = g.mean(t, &[1], true);
        let centred = g.sub(t, m);
        x = g.add_(centred, x);
    }
    g.outputs = vec![x];
    Ok(g)
}

/// Many independent values, each used by its neighbours only.
fn wide(nodes: usize) -> Result<Graph> {
    let mut g = Graph::new();
    let x = g.input(Ty::f32(Shape::new(&[4, 6])?));
    let mut row: Vec<Id> = (0..nodes / 10).map(|i| g.mul_scalar(x, i as f64 + 2.0)).collect();
    for _ in 1..9 {
        row = (0..row.len()).map(|i| g.add_(row[i], row[(i + 1) % row.len()])).collect();
    }
    g.outputs = row;
    Ok(g)
}

/// Small products, each with a bias and an activation.
fn layers(nodes: usize) -> Result<Graph> {
    let mut g = Graph::new();
    let mut x = g.input(Ty::f32(Shape::new(&[4, 8])?));
    for _ in 0..nodes / 5 {
        let w = g.input(Ty::f32(Shape::new(&[8, 8])?));
        let b = g.input(Ty::f32(Shape::new(&[8])?));
        let y = g.matmul(x, w, false, false);
        let y = g.add_(y, b);
        x = g.tanh(y);
    }
    g.outputs = vec![x];
    Ok(g)
}

fn main() -> Result<()> {
    let mut out = std::io::stdout();
    for (name, build) in
        [("skips", skips as fn(usize) -> _), ("reductions", reductions), ("wide", wide), ("layers", layers)]
    {
        for nodes in [1_250, 2_500, 5_000, 10_000] {
            let g = build(nodes)?;
            let mut best = f64::INFINITY;
            for _ in 0..3 {
                let start = Instant::now();
                Program::compile(&g)?;
                best = best.min(start.elapsed().as_secs_f64());
            }
            let each = best / g.nodes.len() as f64 * 1e6;
            let (nodes, ms) = (g.nodes.len(), best * 1e3);
            writeln!(out, "{name:12} {nodes:6} nodes  {ms:8.2} ms  {each:6.2} us a node").ok();
        }
    }
    Ok(())
}
