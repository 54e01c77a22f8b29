//! F7. Optimiser steps as graph builders, with exactly Keras 3's arithmetic (order of operations
//! included). They are ordinary nodes, so fusion makes each update one pass over memory.
//!
//! SGD: Sutskever et al. 2013 (momentum, Nesterov). RMSprop: Hinton, lecture 6e. Adam: Kingma and
//! Ba 2015, the folded form of section 2; AMSGrad: Reddi et al. 2018. AdamW: Loshchilov and Hutter
//! 2019, decay before the step.

use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::ops::Build;

// Averages nearer to zero than this become zero: an average that fades away would else end as a
// denormal, or make one of what it is multiplied by, and each of these costs some 150 cycles.

/// For what is added as it is, or under a root.
const FLOOR: f64 = 1e-34;
/// For an average that is multiplied by a learning rate.
const SCALED_FLOOR: f64 = 1e-30;
/// For an average that is squared.
const SQUARED_FLOOR: f64 = 1e-18;

/// The operands of one update.
#[derive(Debug, Clone)]
pub struct Update<'a> {
    /// The value to step.
    pub param: Id,
    /// Its gradient.
    pub grad: Id,
    /// The running averages, in the order of [`slots`].
    pub slots: &'a [Id],
    /// Steps made so far, an i32 scalar.
    pub iterations: Id,
    /// The learning rate, an f32 scalar.
    pub rate: Id,
}

/// Hyperparameters by name.
pub type Hyper<'a> = &'a [(&'a str, f64)];

fn get(hyper: Hyper<'_>, name: &str, default: f64) -> f64 {
    hyper.iter().find(|(n, _)| *n == name).map_or(default, |(_, v)| *v)
}

fn is_on(hyper: Hyper<'_>, name: &str) -> bool {
    get(hyper, name, 0.0) != 0.0
}

const KNOWN: [(&str, &[&str]); 4] = [
    ("sgd", &["momentum", "nesterov", "weight_decay"]),
    ("rmsprop", &["rho", "momentum", "epsilon", "centered", "weight_decay"]),
    ("adam", &["beta_1", "beta_2", "epsilon", "amsgrad", "weight_decay"]),
    ("adamw", &["beta_1", "beta_2", "epsilon", "amsgrad", "weight_decay"]),
];

/// Names of the running averages that an optimiser keeps for each parameter, all zeros at first.
/// Errors for an unknown optimiser or hyperparameter.
pub fn slots(kind: &str, hyper: Hyper<'_>) -> Result<Vec<&'static str>> {
    let Some((_, known)) = KNOWN.iter().find(|(name, _)| *name == kind) else {
        return crate::data_err!(
            "there is no optimizer '{kind}'\n  hint: known are sgd, rmsprop, adam, adamw"
        );
    };
    if let Some((name, _)) = hyper.iter().find(|(name, _)| !known.contains(name)) {
        return crate::data_err!(
            "{kind} has no hyperparameter '{name}'\n  hint: it has {}",
            known.join(", ")
        );
    }
    let mut names = match kind {
        "sgd" => vec![],
        "rmsprop" => vec!["velocity"],
        _ => vec!["momentum", "velocity"],
    };
    if matches!(kind, "sgd" | "rmsprop") && is_on(hyper, "momentum") {
        names.push("momentum");
    }
    if is_on(hyper, "centered") {
        names.push("average_gradient");
    }
    if is_on(hyper, "amsgrad") {
        names.push("velocity_hat");
    }
    Ok(names)
}

/// One step: the new value and the new running averages.
pub fn update(g: &mut Graph, kind: &str, with: &Update<'_>, hyper: Hyper<'_>) -> Result<(Id, Vec<Id>)> {
    let names = slots(kind, hyper)?;
    if names.len() != with.slots.len() {
        return crate::data_err!(
            "{kind} got {} slots, wanted {} ({})",
            with.slots.len(),
            names.len(),
            names.join(", ")
        );
    }
    for (what, id) in
        [("gradient", with.grad)].into_iter().chain(names.iter().copied().zip(with.slots.iter().copied()))
    {
        if g.ty(id) != g.ty(with.param) {
            return Err(Error::Shape(format!(
                "{kind}: the {what} is {}, the parameter {}",
                g.ty(id),
                g.ty(with.param)
            )));
        }
    }
    let decay = get(hyper, "weight_decay", if kind == "adamw" { 0.004 } else { 0.0 });
    let param = if decay == 0.0 { with.param } else { decayed(g, with, decay) };
    let with = Update { param, ..with.clone() };
    let result = match kind {
        "sgd" => sgd(g, &with, hyper),
        "rmsprop" => rmsprop(g, &with, hyper),
        _ => adam(g, &with, hyper),
    };
    g.check()?;
    Ok(result)
}

/// w - w · decay · rate.
fn decayed(g: &mut Graph, u: &Update<'_>, decay: f64) -> Id {
    let part = g.mul_scalar(u.param, decay);
    let part = g.mul(part, u.rate);
    g.sub(u.param, part)
}

/// `x`, but 0 where it is nearer to zero than `floor`; NaN stays.
fn flush(g: &mut Graph, x: Id, floor: f64) -> Id {
    let (size, floor, zero) = (g.abs(x), g.number(floor), g.number(0.0));
    let small = g.less(size, floor);
    g.where_(small, zero, x)
}

/// `rho · average + (1 - rho) · value`.
fn running(g: &mut Graph, average: Id, value: Id, rho: f64, floor: f64) -> Id {
    let old = g.mul_scalar(average, rho);
    let new = g.mul_scalar(value, 1.0 - rho);
    let sum = g.add_(old, new);
    flush(g, sum, floor)
}

fn sgd(g: &mut Graph, u: &Update<'_>, hyper: Hyper<'_>) -> (Id, Vec<Id>) {
    let step = g.mul(u.grad, u.rate);
    let Some(&m) = u.slots.first() else { return (g.sub(u.param, step), vec![]) };
    let momentum = get(hyper, "momentum", 0.0);
    let kept = g.mul_scalar(m, momentum);
    let moved = g.sub(kept, step);
    let m = flush(g, moved, FLOOR);
    let change = if is_on(hyper, "nesterov") {
        let ahead = g.mul_scalar(m, momentum);
        g.sub(ahead, step)
    } else {
        m
    };
    (g.add_(u.param, change), vec![m])
}

fn rmsprop(g: &mut Graph, u: &Update<'_>, hyper: Hyper<'_>) -> (Id, Vec<Id>) {
    let rho = get(hyper, "rho", 0.9);
    let square = g.square(u.grad);
    let velocity = running(g, u.slots[0], square, rho, FLOOR);
    let mut slots = vec![velocity];
    let mut base = velocity;
    let momentum = get(hyper, "momentum", 0.0);
    let average =
        is_on(hyper, "centered").then(|| running(g, u.slots[u.slots.len() - 1], u.grad, rho, SQUARED_FLOOR));
    if let Some(average) = average {
        let square = g.square(average);
        base = g.sub(velocity, square);
    }
    let base = g.add_scalar(base, get(hyper, "epsilon", 1e-7));
    let scaled = g.mul(u.rate, u.grad);
    let root = g.sqrt(base);
    let mut step = g.div(scaled, root);
    if momentum != 0.0 {
        let kept = g.mul_scalar(u.slots[1], momentum);
        let sum = g.add_(kept, step);
        step = flush(g, sum, FLOOR);
        slots.push(step);
    }
    slots.extend(average);
    (g.sub(u.param, step), slots)
}

fn adam(g: &mut Graph, u: &Update<'_>, hyper: Hyper<'_>) -> (Id, Vec<Id>) {
    let (beta_1, beta_2) = (get(hyper, "beta_1", 0.9), get(hyper, "beta_2", 0.999));
    let steps = g.to_float(u.iterations);
    let steps = g.add_scalar(steps, 1.0);
    let (one, b1, b2) = (g.number(1.0), g.number(beta_1), g.number(beta_2));
    let (power_1, power_2) = (g.pow(b1, steps), g.pow(b2, steps));
    let (left_1, left_2) = (g.sub(one, power_1), g.sub(one, power_2));
    let root = g.sqrt(left_2);
    let alpha = g.mul(u.rate, root);
    let alpha = g.div(alpha, left_1);

    let (m, v) = (u.slots[0], u.slots[1]);
    let gap = g.sub(u.grad, m);
    let change = g.mul_scalar(gap, 1.0 - beta_1);
    let sum = g.add_(m, change);
    let m = flush(g, sum, SCALED_FLOOR);
    let square = g.square(u.grad);
    let gap = g.sub(square, v);
    let change = g.mul_scalar(gap, 1.0 - beta_2);
    let sum = g.add_(v, change);
    let v = flush(g, sum, FLOOR);
    let mut slots = vec![m, v];
    let mut base = v;
    if is_on(hyper, "amsgrad") {
        base = g.maximum(u.slots[2], v);
        slots.push(base);
    }
    let scaled = g.mul(m, alpha);
    let root = g.sqrt(base);
    let root = g.add_scalar(root, get(hyper, "epsilon", 1e-7));
    let step = g.div(scaled, root);
    (g.sub(u.param, step), slots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Host, Ty};
    use crate::shape::{DType, Shape};
    use crate::tensor::{Tensor, with_graph};

    /// Steps w = 1 with gradient 2 and learning rate 0.1.
    fn train(kind: &str, hyper: Hyper<'_>, steps: usize) -> f64 {
        let mut w = Tensor::from_slice(&[1.0], &[1]).unwrap();
        let count = slots(kind, hyper).unwrap().len();
        let mut state: Vec<Tensor> = (0..count).map(|_| Tensor::from_slice(&[0.0], &[1]).unwrap()).collect();
        for step in 0..steps {
            let mut inputs = vec![
                w.clone(),
                Tensor::from_slice(&[2.0], &[1]).unwrap(),
                Tensor::scalar(step as f64, DType::I32).unwrap(),
                Tensor::scalar(0.1, DType::F32).unwrap(),
            ];
            inputs.extend(state.iter().cloned());
            let mut new = with_graph(&inputs, |g, ids| {
                let with = Update {
                    param: ids[0],
                    grad: ids[1],
                    slots: &ids[4..],
                    iterations: ids[2],
                    rate: ids[3],
                };
                let (param, slots) = update(g, kind, &with, hyper)?;
                Ok([param].into_iter().chain(slots).collect())
            })
            .unwrap();
            state = new.split_off(1);
            w = new.remove(0);
        }
        w.item().unwrap()
    }

    fn close(got: f64, wanted: f64) {
        assert!((got - wanted).abs() < 1.5e-7 * wanted.abs(), "{got} is not {wanted}");
    }

    #[test]
    fn steps_are_those_of_keras() {
        close(train("adam", &[], 1), 0.900_000_8);
        close(train("rmsprop", &[], 1), 0.683_772_27);
        close(train("sgd", &[("momentum", 0.9), ("nesterov", 1.0)], 2), 0.078_000_01);
        close(train("adamw", &[], 1), 0.899_600_8);
        close(train("sgd", &[], 3), 0.4);
    }

    #[test]
    fn every_option_has_its_slots_and_moves_downhill() {
        for (kind, hyper) in [
            ("rmsprop", &[("momentum", 0.9), ("centered", 1.0)][..]),
            ("rmsprop", &[("centered", 1.0)]),
            ("adam", &[("amsgrad", 1.0)]),
            ("sgd", &[("momentum", 0.5), ("weight_decay", 0.1)]),
        ] {
            let w = train(kind, hyper, 3);
            assert!(w < 1.0 && w.is_finite(), "{kind}: {w}");
        }
    }

    #[test]
    fn averages_end_at_zero_when_gradients_do_and_make_no_denormals() {
        for (kind, hyper) in [
            ("adam", &[("beta_2", 0.99)][..]),
            ("adam", &[("beta_2", 0.99), ("amsgrad", 1.0)]),
            ("adamw", &[("beta_2", 0.99)]),
            ("sgd", &[("momentum", 0.9)]),
            ("sgd", &[("momentum", 0.9), ("nesterov", 1.0)]),
            ("rmsprop", &[("momentum", 0.9)]),
            ("rmsprop", &[("momentum", 0.9), ("centered", 1.0)]),
        ] {
            let names = slots(kind, hyper).unwrap();
            let ty = Ty { shape: Shape::new(&[1]).unwrap(), dtype: DType::F32 };
            let host = |value: f64| Host { ty, data: vec![value] };
            let mut state = vec![host(1e-20); names.len()];
            for step in 0..4000 {
                let mut g = Graph::new();
                let old: Vec<Id> = names.iter().map(|_| g.input(ty)).collect();
                let (param, grad) = (g.input(ty), g.input(ty));
                let (iterations, rate) = (g.typed_scalar(f64::from(step), DType::I32), g.scalar(1e-3));
                let with = Update { param, grad, slots: &old, iterations, rate };
                let (_, slots) = update(&mut g, kind, &with, hyper).unwrap();
                let all = (0..g.nodes.len() as u32).map(Id).filter(|&id| g.ty(id) == ty);
                g.outputs = slots.into_iter().chain(all).collect();
                let inputs: Vec<Host> = state.iter().cloned().chain([host(1.0), host(0.0)]).collect();
                let (out, _) = crate::exec::interp::run_rounded(&g, &inputs).unwrap();
                for value in out.iter().map(|host| host.data[0]) {
                    let denormal = value != 0.0 && value.abs() < f64::from(f32::MIN_POSITIVE);
                    assert!(!denormal, "{kind} {hyper:?}: {value:e} at step {step}");
                }
                state = out[..names.len()].to_vec();
            }
            // The largest average of AMSGrad never fades.
            let fading = names.iter().zip(&state).filter(|(name, _)| **name != "velocity_hat");
            for (name, host) in fading {
                assert_eq!(host.data[0], 0.0, "{kind} {hyper:?}: {name}");
            }
        }
    }

    #[test]
    fn small_averages_and_nan_are_kept() {
        let mut g = Graph::new();
        let (x, z, n) = (g.scalar(3.5e-12), g.scalar(-0.9e-34), g.scalar(f64::NAN));
        g.outputs = [x, z, n].map(|v| flush(&mut g, v, FLOOR)).to_vec();
        let (out, _) = crate::exec::interp::run_rounded(&g, &[]).unwrap();
        assert_eq!(out[0].data[0] as f32, 3.5e-12);
        assert_eq!(out[1].data[0], 0.0);
        assert!(out[2].data[0].is_nan());
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let text = slots("adamm", &[]).unwrap_err().to_string();
        assert!(text.contains("adamm") && text.contains("rmsprop"));
        let text = slots("adam", &[("beta1", 0.9)]).unwrap_err().to_string();
        assert!(text.contains("beta_1"));
    }
}
