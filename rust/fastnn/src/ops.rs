//! F4. The op table: one row per op, families in the modules below. A row says everything the
//! library knows about an op (shape rule, derivative, kernel, oracle, formula), so adding one
//! touches one place. May use the graph and the kernels; knows no pass and no executor.

/// Static rows and the list of them. Attributes are written `name: Kind = default`; without a
/// default the attribute is required.
macro_rules! rows {
    (@default) => { None };
    (@default $default:expr) => { Some($default) };
    ($(
        $id:ident = $name:literal($($arg:literal),* $(; $($attr:ident: $kind:ident $(= $default:expr)?),+)?) {
            $($field:ident: $value:expr),+ $(,)?
        }
    )+) => {
        $(
            #[doc = concat!("The row `", $name, "`.")]
            #[allow(clippy::needless_update)] // some rows name every field
            pub static $id: $crate::graph::OpDef = $crate::graph::OpDef {
                name: $name,
                args: &[$($arg),*],
                attrs: &[$($($crate::graph::AttrDef {
                    name: stringify!($attr),
                    kind: $crate::graph::AttrKind::$kind,
                    default: rows!(@default $($default)?),
                }),+)?],
                $($field: $value,)+
                ..$crate::graph::OpDef::PLAIN
            };
        )+
        pub(super) const ROWS: &[&$crate::graph::OpDef] = &[$(&$id),+];
    };
}

pub mod activation;
pub mod attention;
pub mod build;
pub mod collective;
pub mod compare;
pub mod conv;
pub mod elementwise;
pub mod host;
pub mod index;
pub mod layer_norm;
pub mod loss;
pub mod matmul;
pub mod movement;
pub mod normalize;
pub mod order;
pub mod pooling;
pub mod random;
pub mod recurrence;
pub mod reduce;
pub mod resample;
pub mod rule;
pub mod scan;
mod spatial;
pub mod window;

pub use build::Build;

use crate::graph::OpDef;

const FAMILIES: &[&[&OpDef]] = &[
    elementwise::TILES,
    elementwise::ROWS,
    compare::TILES,
    compare::ROWS,
    reduce::ROWS,
    movement::ROWS,
    matmul::ROWS,
    conv::ROWS,
    pooling::ROWS,
    resample::ROWS,
    index::ROWS,
    order::ROWS,
    window::ROWS,
    random::ROWS,
    normalize::ROWS,
    activation::TILES,
    activation::ROWS,
    loss::ROWS,
    recurrence::ROWS,
    attention::ROWS,
    layer_norm::ROWS,
    collective::ROWS,
];

const COUNT: usize = {
    let mut n = 0;
    let mut f = 0;
    while f < FAMILIES.len() {
        n += FAMILIES[f].len();
        f += 1;
    }
    n
};

const ALL: [&OpDef; COUNT] = {
    let mut all = [FAMILIES[0][0]; COUNT];
    let (mut n, mut f) = (0, 0);
    while f < FAMILIES.len() {
        let mut i = 0;
        while i < FAMILIES[f].len() {
            all[n] = FAMILIES[f][i];
            n += 1;
            i += 1;
        }
        f += 1;
    }
    all
};

/// Every row that is called by name (leaves excepted: the graph makes those itself; a `scan` is made by
/// tracing its body).
pub static OPS: &[&OpDef] = &ALL;

/// The row of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static OpDef> {
    OPS.iter().copied().chain([&scan::SCAN]).find(|op| op.name == name)
}
