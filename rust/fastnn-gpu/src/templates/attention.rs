//! Attention and its gradient without the matrix of weights: a workgroup per query (or, for the
//! gradients by keys and values, per key) takes the other side in blocks, one element a lane. The softmax
//! is taken as it goes, and its weights are computed again on the way back.

use super::Rows;
use super::frame::{Text, steps, steps_with, zeros};
use super::random::PHILOX;
use crate::dispatch::{Call, Dispatch, Steps};
use crate::text::float;
use fastnn::error::Result;
use fastnn::ops::{attention, random};
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
fn score(b: u32, h: u32, t: u32, s: u32) -> f32 {{
    if ({mask} == 0u) {{ return -math_inf(); }}
    var dot = 0.0f;
    for (var c = 0u; c < WIDTH; c++) {{
        dot = fma(q[query_at(b, t, h) * WIDTH + c], k[key_at(b, s, h) * WIDTH + c], dot);
    }}
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

/// Statements that a workgroup's lanes run for their columns of `count` sums, `sum` in `add`.
fn columns(count: &str, statement: &str) -> String {
    format!(
        "    for (var c = 0u; c < COLUMNS; c++) {{
    let column = c * BLOCK + lane;
    if (column < {count}) {{
{statement}    }}
    }}
"
    )
}

/// Declares the sums that lanes have of `count` columns.
fn sums(text: &mut Text<'_>, count: usize) {
    text.size("COLUMNS", count.div_ceil(BLOCK as usize).max(1));
    text.share("weights", "f32", BLOCK as usize).define("var<private> sums: array<f32, COLUMNS>;");
}

/// The place of a query, of which there is one a workgroup.
const QUERY: &str = "    let h = row % HEADS;
    let t = row / HEADS % QUERIES;
    let b = row / (HEADS * QUERIES);
    let end = seen(b, t);
";

fn attention(call: &Call<'_>) -> Result<Steps> {
    let sizes = Sizes::new(call, 0);
    let mut text = sizes.text("");
    text.reduces(BLOCK);
    let mut body = QUERY.to_string()
        + "    var most = -3.4028235e38f;
    var total = 0.0f;
    for (var first = 0u; first < end; first += BLOCK) {
    let s = first + lane;
    var own = -math_inf();
    if (s < end) { own = score(b, h, t, s); }
    let top = max(most, all_max(own));
    let shrink = math_exp(most - top);
    let weight = select(math_exp(own - top), 0.0f, hidden(own));
    total = fma(total, shrink, all_sum(weight));
    most = top;
";
    if call.wanted[0] && sizes.values > 0 {
        sums(&mut text, sizes.values);
        text.read("v", 2).write("y", 0);
        body += "    weights[lane] = 0.0f;
    if (s < end) { weights[lane] = weight * kept(b, h, t, s); }
    workgroupBarrier();
    let count = min(BLOCK, end - first);
";
        body += &columns(
            "VALUES",
            "    var sum = sums[c] * shrink;
    for (var j = 0u; j < count; j++) {
        sum = fma(weights[j], v[key_at(b, first + j, h) * VALUES + column], sum);
    }
    sums[c] = sum;
",
        );
        body += "    workgroupBarrier();\n    }\n";
        body += &columns(
            "VALUES",
            "    if (total == 0.0f) { y[row * VALUES + column] = 0.0f; } else { y[row * VALUES + column] = sums[c] / total; }\n",
        );
    } else {
        body += "    }\n";
    }
    if call.wanted[1] {
        text.write("lse", 1);
        body += "    if (lane == 0u) { lse[row_at(b, h, t)] = most + math_log(total); }\n";
    }
    let main = text.groups(sizes.rows(), BLOCK, &body);
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
    let mut text = sizes.text(variant);
    let words = sizes.words();
    text.read("dout", 0).write("y", k);
    text.define(&format!(
        "fn weight(b: u32, h: u32, t: u32, s: u32) -> f32 {{
    let own = score(b, h, t, s);
    if (hidden(own)) {{ return 0.0f; }}
    return math_exp(own - bitcast<f32>(small[{words}u + 2u * row_at(b, h, t)]));
}}"
    ));
    if k < 2 {
        text.read("v", 3);
        text.define(&format!(
            "fn slope(b: u32, h: u32, t: u32, s: u32) -> f32 {{
    let own = weight(b, h, t, s);
    var dot = 0.0f;
    for (var c = 0u; c < VALUES; c++) {{
        dot = fma(dout[query_at(b, t, h) * VALUES + c], v[key_at(b, s, h) * VALUES + c], dot);
    }}
    let away = bitcast<f32>(small[{words}u + 2u * row_at(b, h, t) + 1u]);
    return own * fma(dot, kept(b, h, t, s), -away) * SCALE;
}}"
        ));
    }
    let (count, name) = if k == 2 { (sizes.values, "VALUES") } else { (sizes.width, "WIDTH") };
    sums(&mut text, count);
    let store = columns(name, &format!("    y[row * {name} + column] = sums[c];\n"));
    if k == 0 {
        let add = columns(
            name,
            "    var sum = sums[c];
    for (var j = 0u; j < count; j++) {
        sum = fma(weights[j], k[key_at(b, first + j, h) * WIDTH + column], sum);
    }
    sums[c] = sum;
",
        );
        let body = format!(
            "{QUERY}    for (var first = 0u; first < end; first += BLOCK) {{
    let s = first + lane;
    weights[lane] = 0.0f;
    if (s < end) {{ weights[lane] = slope(b, h, t, s); }}
    workgroupBarrier();
    let count = min(BLOCK, end - first);
{add}    workgroupBarrier();
    }}
{store}"
        );
        return text.groups(sizes.rows(), BLOCK, &body);
    }
    let (own, other) = if k == 1 {
        ("slope(b, h, t, s)", "q[query_at(b, first + j, h) * WIDTH + column]")
    } else {
        ("weight(b, h, t, s) * kept(b, h, t, s)", "dout[query_at(b, first + j, h) * VALUES + column]")
    };
    let add = columns(
        name,
        &format!(
            "    var sum = sums[c];
    for (var j = 0u; j < count; j++) {{ sum = fma(weights[j], {other}, sum); }}
    sums[c] = sum;
"
        ),
    );
    let body = format!(
        "    let group_of = row % GROUPS;
    let s = row / GROUPS % KEYS;
    let b = row / (GROUPS * KEYS);
    for (var h = group_of * SHARED; h < (group_of + 1u) * SHARED; h++) {{
    for (var first = 0u; first < QUERIES; first += BLOCK) {{
    let t = first + lane;
    weights[lane] = 0.0f;
    if (t < QUERIES) {{
        if (s < seen(b, t)) {{ weights[lane] = {own}; }}
    }}
    workgroupBarrier();
    let count = min(BLOCK, QUERIES - first);
{add}    workgroupBarrier();
    }}
    }}
{store}"
    );
    text.groups(sizes.batch * sizes.keys * sizes.groups, BLOCK, &body)
}
