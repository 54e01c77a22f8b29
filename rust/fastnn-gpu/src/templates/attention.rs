//! Attention and its gradient without the matrix of weights: a workgroup for a few queries (or, for the
//! gradients by keys and values, a few keys) takes the other side in blocks, one element a lane, so that
//! what it reads there serves all of the few. The softmax is taken as it goes, and its weights are
//! computed again in the backward pass.

mod few;

use super::Rows;
use super::frame::{Text, steps, steps_with, zeros};
use super::random::PHILOX;
use crate::dispatch::{Call, Dispatch, Steps};
use crate::text::float;
use fastnn::error::Result;
use fastnn::ops::{attention, random};
use few::{Few, Own, columns, for_queries, queries, sums, weighted};
use std::fmt::Write;

pub(super) const ROWS: Rows =
    &[(&attention::ATTENTION, attention), (&attention::ATTENTION_GRAD, attention_grad)];

/// Invocations of a workgroup, and elements of a block.
const BLOCK: u32 = 64;

/// Words of the scratch memory before the numbers of each row of the batch: the key of dropout, a bias
/// and a mask for all.
const HEAD: usize = 6;

/// Sizes of a call whose operands begin at `first`.
struct Sizes<'a> {
    call: &'a Call<'a>,
    first: usize,
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    groups: usize,
    width: usize,
    values: usize,
    rate: f64,
}

impl<'a> Sizes<'a> {
    fn new(call: &'a Call<'a>, first: usize) -> Sizes<'a> {
        let [q, k, v] = [0, 1, 2].map(|i| call.inputs[first + i].shape.sizes());
        Sizes {
            call,
            first,
            batch: q[0],
            queries: q[1],
            keys: k[1],
            heads: q[2],
            groups: k[2],
            width: q[3],
            values: v[3],
            rate: call.attrs[2].float(),
        }
    }

    fn rows(&self) -> usize {
        self.batch * self.queries * self.heads
    }

    /// Words of scratch memory before those of each query.
    fn words(&self) -> usize {
        HEAD + 2 * self.batch
    }

    fn lone(&self, k: usize) -> bool {
        self.call.inputs[self.first + k].shape.rank() == 0
    }

    /// Gathers small operands in one buffer, since a kernel may bind eight.
    fn gather(&self) -> Option<Dispatch> {
        let at = |k: usize| self.first + k;
        let mut text = Text::new(self.call, "small operands");
        text.read("lengths", at(5)).read("start", at(6)).read("key", at(7)).scratch_mut("small", 0, "u32");
        let stream = self.call.attrs[3].int() as u32;
        let mut body = format!(
            "    small[{HEAD}u + i] = bitcast<u32>(lengths[{}]);
    small[{HEAD}u + {}u + i] = bitcast<u32>(start[{}]);
    if (i > 0u) {{ return; }}
    small[0] = bitcast<u32>(key[0]);
    small[1] = bitcast<u32>(key[1]);
    small[2] = bitcast<u32>(key[2]);
    small[3] = bitcast<u32>(key[3]) + {stream}u;
",
            if self.lone(5) { "0u" } else { "i" },
            self.batch,
            if self.lone(6) { "0u" } else { "i" },
        );
        if self.lone(3) {
            text.read("bias", at(3));
            body += "    small[4] = bitcast<u32>(bias[0]);\n";
        }
        if self.lone(4) {
            text.read("mask", at(4));
            body += "    small[5] = mask[0];\n";
        }
        text.each(self.batch, &body)
    }

    /// A kernel that binds what scores need, and defines `seen(b, t)`, how many keys a query may see, and
    /// `score(b, h, t, s)`.
    fn text(&self, variant: &str) -> Text<'a> {
        let mut text = Text::new(self.call, variant);
        text.read("q", self.first).read("k", self.first + 1).scratch("small", 0, "u32");
        text.sizes(&[
            ("BATCH", self.batch),
            ("QUERIES", self.queries),
            ("KEYS", self.keys),
            ("HEADS", self.heads),
            ("GROUPS", self.groups),
            ("SHARED", self.heads / self.groups.max(1)),
            ("WIDTH", self.width),
            ("VALUES", self.values),
            ("BLOCK", BLOCK as usize),
        ]);
        text.number("SCALE", self.call.attrs[0].float() as f32);
        let causal = if self.call.attrs[1].flag() {
            format!(
                "    let start = min(bitcast<i32>(small[{HEAD}u + BATCH + b]), i32(KEYS));
    end = min(end, start + i32(t) + 1i);
"
            )
        } else {
            String::new()
        };
        let bias = self.wide(&mut text, "bias", 3, "bitcast<f32>(small[4])");
        let mask = self.wide(&mut text, "mask", 4, "small[5]");
        text.define(&format!(
            "fn seen(b: u32, t: u32) -> u32 {{
    var end = min(bitcast<i32>(small[{HEAD}u + b]), i32(KEYS));
{causal}    return u32(max(end, 0i));
}}
// A score of -inf is that of a hidden key. NaN is none.
fn hidden(score: f32) -> bool {{ return bitcast<u32>(score) == 0xff800000u; }}
fn query_at(b: u32, t: u32, h: u32) -> u32 {{ return (b * QUERIES + t) * HEADS + h; }}
fn key_at(b: u32, s: u32, h: u32) -> u32 {{ return (b * KEYS + s) * GROUPS + h / SHARED; }}
fn row_at(b: u32, h: u32, t: u32) -> u32 {{ return (b * HEADS + h) * QUERIES + t; }}
fn score(b: u32, h: u32, t: u32, s: u32, dot: f32) -> f32 {{
    if ({mask} == 0u) {{ return -math_inf(); }}
    return fma(dot, SCALE, {bias});
}}"
        ));
        if self.rate > 0.0 {
            let (rate, kept) = (float(self.rate as f32), float(random::scale(self.rate) as f32));
            text.define(PHILOX).define(&format!(
                "fn kept(b: u32, h: u32, t: u32, s: u32) -> f32 {{
    let at = row_at(b, h, t) * KEYS + s;
    let counter = vec4<u32>(at / 64u * 16u + at % 16u, 0u, small[3], small[2]);
    let word = philox(counter, vec2<u32>(small[0], small[1]))[at % 64u / 16u];
    return select(0.0f, {kept}, unit(word) >= {rate});
}}"
            ));
        } else {
            text.define("fn kept(b: u32, h: u32, t: u32, s: u32) -> f32 { return 1.0f; }");
        }
        text
    }

    /// The element of an operand of the weights' four axes, each of which may be of size 1.
    fn wide(&self, text: &mut Text<'_>, name: &str, k: usize, lone: &str) -> String {
        let shape = &self.call.inputs[self.first + k].shape;
        if shape.rank() == 0 || shape.count() == 0 {
            return lone.to_string();
        }
        text.read(name, self.first + k);
        let (sizes, strides) = (shape.sizes(), shape.strides());
        let terms: Vec<String> = ["b", "h", "t", "s"]
            .iter()
            .enumerate()
            .filter(|(axis, _)| sizes[*axis] != 1)
            .map(|(axis, at)| format!("{at} * {}u", strides[axis]))
            .collect();
        format!("{name}[{}]", if terms.is_empty() { "0u".into() } else { terms.join(" + ") })
    }
}

fn attention(call: &Call<'_>) -> Result<Steps> {
    let sizes = Sizes::new(call, 0);
    let few = Few::of(sizes.queries);
    let ty = few.element();
    let mut text = sizes.text("");
    text.reduces(BLOCK, ty);
    let exp = |of: &str| few.all(|_, part| format!("math_exp(({of}){part})"));
    let with_values = call.wanted[0] && sizes.values > 0;
    let mut body = queries(few, sizes.queries)
        + &format!("    var most = {ty}(-3.4028235e38f);\n    var total = {ty}();\n");
    if with_values {
        text.share("weights", ty, BLOCK as usize).read("v", 2).write("y", 0);
        body += &sums(few, sizes.values);
    }
    let _ = write!(
        body,
        "    for (var first = 0u; first < end; first += BLOCK) {{
    let s = first + lane;
    var own = {ty}(-math_inf());
    if (s < end) {{
    let key_row = key_at(b, s, h);
{}{}    }}
    let top = max(most, all_max(own));
    let shrink = {};
    let weight = {};
    total = fma(total, shrink, all_sum(weight));
    most = top;
",
        Own::Queries.dot(few, "dot", "q", "k", "WIDTH"),
        few.each(|u, part| format!(
            "    if (s < end{u}) {{ own{part} = score({}, dot{part}); }}\n",
            Own::Queries.pair(u)
        )),
        exp("most - top"),
        few.all(|_, part| format!("select(math_exp(own{part} - top{part}), 0.0f, hidden(own{part}))")),
    );
    if with_values {
        let _ = write!(
            body,
            "    weights[lane] = weight * {};
    workgroupBarrier();
    let count = min(BLOCK, end - first);
",
            few.all(|u, _| format!("kept({})", Own::Queries.pair(u)))
        );
        body += &columns(sizes.values, "VALUES", |c| format!("    sum{c} *= shrink;\n"));
        body += &weighted(few, sizes.values, "VALUES", "v[key_at(b, first + j, h) * VALUES + column]");
        body += "    workgroupBarrier();\n    }\n";
        body += &columns(sizes.values, "VALUES", |c| {
            for_queries(few, |u, part| {
                format!(
                    "if (total{part} == 0.0f) {{ y[row{u} * VALUES + column] = 0.0f; }} else {{ y[row{u} * VALUES + column] = sum{c}{part} / total{part}; }}"
                )
            })
        });
    } else {
        body += "    }\n";
    }
    if call.wanted[1] {
        text.write("lse", 1);
        let store = for_queries(few, |u, part| {
            format!("lse[row_at(b, h, t{u})] = most{part} + math_log(total{part});")
        });
        let _ = write!(body, "    if (lane == 0u) {{\n{store}    }}\n");
    }
    let rows = sizes.batch * sizes.heads * sizes.queries.div_ceil(few.0);
    let main = text.groups(rows, BLOCK, &body);
    Ok(steps_with(&[sizes.words()], [sizes.gather(), main]))
}

fn attention_grad(call: &Call<'_>) -> Result<Steps> {
    let sizes = Sizes::new(call, 1);
    let words = sizes.words();
    if sizes.rows() == 0 {
        let wanted = (0..3).filter(|&k| call.wanted[k]);
        return Ok(steps(wanted.map(|k| zeros(call, k))));
    }
    let mut all = vec![sizes.gather()];
    let mut inner = Text::new(call, "rows");
    inner.read("lse", 10).scratch_mut("small", 0, "u32");
    inner.sizes(&[("VALUES", sizes.values), ("HEADS", sizes.heads), ("QUERIES", sizes.queries)]);
    let mut body = "    let h = i % HEADS;
    let t = i / HEADS % QUERIES;
    let at = (i / (HEADS * QUERIES) * HEADS + h) * QUERIES + t;
    var sum = 0.0f;
"
    .to_string();
    if sizes.values > 0 {
        inner.read("dout", 0).read("out", 9);
        body += "    for (var c = 0u; c < VALUES; c++) { sum = fma(dout[i * VALUES + c], out[i * VALUES + c], sum); }\n";
    }
    let _ = write!(
        body,
        "    small[{words}u + 2u * at] = bitcast<u32>(lse[at]);
    small[{words}u + 2u * at + 1u] = bitcast<u32>(sum);
"
    );
    all.push(inner.each(sizes.rows(), &body));
    for (k, variant) in [(0, "queries"), (1, "keys"), (2, "values")] {
        if call.wanted[k] && call.outputs[k].shape.count() > 0 {
            all.push(gradient(&sizes, k, variant));
        }
    }
    Ok(steps_with(&[words + 2 * sizes.rows()], all))
}

/// The gradient by queries (0), keys (1) or values (2).
fn gradient(sizes: &Sizes<'_>, k: usize, variant: &str) -> Option<Dispatch> {
    let own = if k == 0 { Own::Queries } else { Own::Keys };
    let few = Few::of(if k == 0 { sizes.queries } else { sizes.keys });
    let ty = few.element();
    let mut text = sizes.text(variant);
    let words = sizes.words();
    text.read("dout", 0).write("y", k);
    text.define(&format!(
        "fn weight(b: u32, h: u32, t: u32, s: u32, dot: f32) -> f32 {{
    let own = score(b, h, t, s, dot);
    if (hidden(own)) {{ return 0.0f; }}
    return math_exp(own - bitcast<f32>(small[{words}u + 2u * row_at(b, h, t)]));
}}"
    ));
    if k < 2 {
        text.read("v", 3);
        text.define(&format!(
            "fn slope(b: u32, h: u32, t: u32, s: u32, dot: f32, flow: f32) -> f32 {{
    let away = bitcast<f32>(small[{words}u + 2u * row_at(b, h, t) + 1u]);
    return weight(b, h, t, s, dot) * fma(flow, kept(b, h, t, s), -away) * SCALE;
}}"
        ));
    }
    text.share("weights", ty, BLOCK as usize);
    let (count, name) = if k == 2 { (sizes.values, "VALUES") } else { (sizes.width, "WIDTH") };
    let mut made = own.dot(few, "dot", "q", "k", "WIDTH");
    if k < 2 {
        made += &own.dot(few, "flow", "dout", "v", "VALUES");
    }
    let value = |u: usize, part: &str| {
        let pair = own.pair(u);
        if k == 2 {
            format!("weight({pair}, dot{part}) * kept({pair})")
        } else {
            format!("slope({pair}, dot{part}, flow{part})")
        }
    };
    let begin = sums(few, count);
    if own == Own::Queries {
        let made = made
            + &few.each(|u, part| format!("    if (s < end{u}) {{ own{part} = {}; }}\n", value(u, part)));
        let add = weighted(few, count, name, "k[key_at(b, first + j, h) * WIDTH + column]");
        let store = columns(count, name, |c| {
            for_queries(few, |u, part| format!("y[row{u} * {name} + column] = sum{c}{part};"))
        });
        let body = format!(
            "{}{begin}    for (var first = 0u; first < end; first += BLOCK) {{
    let s = first + lane;
    var own = {ty}();
    if (s < end) {{
    let key_row = key_at(b, s, h);
{made}    }}
    weights[lane] = own;
    workgroupBarrier();
    let count = min(BLOCK, end - first);
{add}    workgroupBarrier();
    }}
{store}",
            queries(few, sizes.queries)
        );
        return text.groups(sizes.batch * sizes.heads * sizes.queries.div_ceil(few.0), BLOCK, &body);
    }
    let tiles = sizes.keys.div_ceil(few.0);
    let places = few.each(|u, _| {
        format!(
            "    let s{u} = min(first_key + {u}u, KEYS - 1u);
    let row{u} = (b * KEYS + s{u}) * GROUPS + group_of;
"
        )
    });
    let made =
        made + &few.each(|u, part| format!("    if (s{u} < end) {{ own{part} = {}; }}\n", value(u, part)));
    let other = if k == 1 { "q" } else { "dout" };
    let add = weighted(few, count, name, &format!("{other}[query_at(b, first + j, h) * {name} + column]"));
    let store = columns(count, name, |c| {
        few.each(|u, part| {
            format!("    if (first_key + {u}u < KEYS) {{ y[row{u} * {name} + column] = sum{c}{part}; }}\n")
        })
    });
    let body = format!(
        "    let group_of = row % GROUPS;
    let first_key = row / GROUPS % {tiles}u * {own}u;
    let b = row / (GROUPS * {tiles}u);
{places}{begin}    for (var h = group_of * SHARED; h < (group_of + 1u) * SHARED; h++) {{
    for (var first = 0u; first < QUERIES; first += BLOCK) {{
    let t = first + lane;
    var own = {ty}();
    if (t < QUERIES) {{
    let end = seen(b, t);
    let query_row = query_at(b, t, h);
{made}    }}
    weights[lane] = own;
    workgroupBarrier();
    let count = min(BLOCK, QUERIES - first);
{add}    workgroupBarrier();
    }}
    }}
{store}",
        own = few.0
    );
    text.groups(sizes.batch * tiles * sizes.groups, BLOCK, &body)
}
