//! A few queries or keys of one workgroup: their numbers lie side by side in a vector.

use super::super::frame::FOURS;
use super::BLOCK;
use std::fmt::Write;

/// Numbers of the queries or keys that a workgroup has, side by side.
#[derive(Clone, Copy)]
pub(super) struct Few(pub(super) usize);

impl Few {
    /// One where there is one alone, else four.
    pub(super) fn of(count: usize) -> Few {
        Few(if count == 1 { 1 } else { 4 })
    }

    pub(super) fn element(self) -> &'static str {
        if self.0 == 1 { "f32" } else { FOURS }
    }

    /// The part of a value that is of number `u`.
    fn part(self, u: usize) -> &'static str {
        if self.0 == 1 { "" } else { [".x", ".y", ".z", ".w"][u] }
    }

    /// All numbers, each as `one` gives it.
    pub(super) fn all(self, one: impl Fn(usize, &str) -> String) -> String {
        let parts: Vec<String> = (0..self.0).map(|u| one(u, self.part(u))).collect();
        format!("{}({})", self.element(), parts.join(", "))
    }

    /// Statements for each number.
    pub(super) fn each(self, one: impl Fn(usize, &str) -> String) -> String {
        (0..self.0).map(|u| one(u, self.part(u))).collect()
    }
}

/// Which side a workgroup has a few of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    Queries,
    Keys,
}

impl Own {
    /// Statements that sum the products of `count` numbers of an array with rows of both sides into
    /// `name`: what the lane reads serves all of the few.
    pub(super) fn dot(self, few: Few, name: &str, query: &str, key: &str, count: &str) -> String {
        let (own, other) = match self {
            Own::Queries => (query, format!("{key}[key_row * {count} + c]")),
            Own::Keys => (key, format!("{query}[query_row * {count} + c]")),
        };
        let mine = few.all(|u, _| format!("{own}[row{u} * {count} + c]"));
        format!(
            "    var {name} = {ty}();
    for (var c = 0u; c < {count}; c++) {{ {name} = fma({mine}, {ty}({other}), {name}); }}
",
            ty = few.element()
        )
    }

    /// The query and the key of number `u`, as operands of a call.
    pub(super) fn pair(self, u: usize) -> String {
        match self {
            Own::Queries => format!("b, h, t{u}, s"),
            Own::Keys => format!("b, h, t, s{u}"),
        }
    }
}

/// Statements for each column that a lane has of `count`.
pub(super) fn columns(count: usize, name: &str, statement: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for c in 0..count.div_ceil(BLOCK as usize) {
        let _ = write!(
            text,
            "    {{ let column = {}u + lane;
    if (column < {name}) {{
{}    }} }}
",
            c * BLOCK as usize,
            statement(c)
        );
    }
    text
}

/// Statements that begin the sums of a lane's columns.
pub(super) fn sums(few: Few, count: usize) -> String {
    let names = 0..count.div_ceil(BLOCK as usize);
    names.map(|c| format!("    var sum{c} = {}();\n", few.element())).collect()
}

/// Statements that add to the sums of columns the numbers `of` of a block's elements, by their weights.
pub(super) fn weighted(few: Few, count: usize, name: &str, of: &str) -> String {
    columns(count, name, |c| {
        format!(
            "    for (var j = 0u; j < count; j++) {{ sum{c} = fma(weights[j], {}({of}), sum{c}); }}\n",
            few.element()
        )
    })
}

/// The places of the queries of a workgroup, and how many keys each may see.
pub(super) fn queries(few: Few, count: usize) -> String {
    let mut text = format!(
        "    let h = row % HEADS;
    let first_query = row / HEADS % {tiles}u * {own}u;
    let b = row / (HEADS * {tiles}u);
    var end = 0u;
",
        tiles = count.div_ceil(few.0),
        own = few.0
    );
    text += &few.each(|u, _| {
        format!(
            "    let t{u} = min(first_query + {u}u, QUERIES - 1u);
    let end{u} = seen(b, t{u});
    let row{u} = query_at(b, t{u}, h);
    end = max(end, end{u});
"
        )
    });
    text
}

/// Runs a statement for each query of a workgroup that there is.
pub(super) fn for_queries(few: Few, statement: impl Fn(usize, &str) -> String) -> String {
    few.each(|u, part| format!("    if (first_query + {u}u < QUERIES) {{ {} }}\n", statement(u, part)))
}
