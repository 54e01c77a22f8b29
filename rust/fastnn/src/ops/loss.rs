//! Losses on logits, one number per sample and no reduction. The forms on probabilities, with
//! Keras's clipping, are composed by the front.

use super::build::Build;
use super::host;
use super::rule;
use crate::graph::{Accept, Class, Cpu, Vjp};

rows! {
    SIGMOID_CROSS_ENTROPY = "sigmoid_cross_entropy"("target", "logits") {
        doc: "-t ln(p) - (1 - t) ln(1 - p) with p = sigmoid(logits), elementwise, without overflow.",
        class: Class::Composite,
        accept: Accept::Float,
        infer: |types, _| rule::elementwise(rule::Takes {
            name: "sigmoid_cross_entropy",
            count: 2,
            accept: Accept::Float,
            int: false,
            gives: rule::Gives::Same,
        }, types),
        vjp: Vjp::Lowered,
        // softplus(x) - x t equals Keras's relu(x) - x t + log1p(e^-|x|), and its gradient is
        // right at x = 0 too.
        cpu: Cpu::Lowered(|g, x, _| {
            let s = g.softplus(x[1]);
            let xt = g.mul(x[1], x[0]);
            Ok(g.sub(s, xt))
        }),
        reference: |x, _, out| host::map(x, out, |[t, x]| x.max(0.0) - x * t + (-x.abs()).exp().ln_1p()),
        formula: "np.logaddexp(logits, 0) - logits * target",
        domain: &[(0.0, 1.0), (-4.0, 4.0)],
        smooth: true,
    }
}
