//! Which kernel runs a row on the CPU. Elementwise rows state their tile kernels in the row itself
//! (the macro `elementwise!` fills both tables); rows with work of their own have a line here. Rows
//! that other back ends run differently need no change in the graph or the passes.

use super::{moments, packed, row_sums};
use crate::error::Result;
use crate::graph::{Attr, OpDef, StepCtx, Ty};
use crate::kernels::Blocked;
use crate::kernels::gather::RowSums;
use crate::kernels::gemm::product::{Packed, Product};
use crate::kernels::tile_ops::{self as tile, TileOf};
use crate::ops::{
    activation, attention, collective, compare, conv, elementwise, index, layer_norm, loss, matmul, movement,
    normalize, order, pooling, random, recurrence, reduce as reductions, resample, window,
};
use crate::shape::DType;
use crate::sync::Slot;
use std::collections::HashMap;
use std::fmt;

/// A kernel of the CPU.
#[derive(Clone, Copy)]
pub enum Kernel {
    /// One instruction of the fused-group machine, per operand type.
    Tile {
        /// On operands that registers hold as f32: float types and bool.
        float: TileOf,
        /// On i32 (and int8 and uint8) operands; without it the row's rule refuses them.
        int: Option<TileOf>,
    },
    /// A kernel of its own. Errors are data errors (an index out of range).
    ///
    /// # Safety
    /// The pointers of the context cover their types' shapes, results alias nothing, and the
    /// processor has the instruction set.
    Step(unsafe fn(&StepCtx<'_>) -> Result<()>),
    /// A maker of blocks for operands, attributes and result of these types.
    Head(Head),
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kernel::Tile { .. } => "Tile",
            Kernel::Step(_) => "Step",
            Kernel::Head(_) => "Head",
        })
    }
}

type Lane = (&'static OpDef, TileOf, Option<TileOf>);

const LANES: &[&[Lane]] = &[
    elementwise::LANES,
    compare::LANES,
    activation::LANES,
    &[
        (&compare::WHERE, tile::select, Some(tile::select)),
        (&compare::TO_FLOAT, tile::copy, Some(tile::cast_i32_f32)),
        (&compare::TO_INT, tile::cast_f32_i32, Some(tile::copy)),
        (&compare::TO_BOOL, tile::cast_f32_bool, Some(tile::cast_i32_bool)),
        (&compare::TO_BFLOAT16, tile::cast_f32_bf16, Some(tile::cast_i32_bf16)),
        (&compare::TO_FLOAT16, tile::cast_f32_f16, Some(tile::cast_i32_f16)),
        (&compare::TO_INT8, tile::cast_f32_i8, Some(tile::cast_i32_i8)),
        (&compare::TO_UINT8, tile::cast_f32_u8, Some(tile::cast_i32_u8)),
    ],
];

type Step = unsafe fn(&StepCtx<'_>) -> Result<()>;

const STEPS: &[(&OpDef, Step)] = &[
    (&reductions::EXTENT, reductions::extent_step),
    (&index::IOTA, index::iota_step),
    (&index::TAKE, index::take_step),
    (&index::TAKE_GRAD, index::take_grad_step),
    (&index::TAKE_ALONG_AXIS, index::along_step),
    (&index::TAKE_ALONG_AXIS_GRAD, index::along_grad_step),
    (&index::CUMSUM, index::cumsum_step),
    (&order::SORT, order::sort_step),
    (&order::TOP_K, order::top_k_step),
    (&pooling::MAX_POOL, pooling::max_pool_step),
    (&pooling::MAX_POOL_GRAD, pooling::max_pool_grad_step),
    (&pooling::MAX_POOL_PICK, pooling::max_pool_pick_step),
    (&pooling::AVERAGE_POOL, pooling::average_pool_step),
    (&pooling::AVERAGE_POOL_GRAD, pooling::average_pool_grad_step),
    (&resample::RESAMPLE, resample::resample_step),
    (&resample::RESAMPLE_GRAD, resample::resample_grad_step),
    (&window::DYNAMIC_SLICE, window::dynamic_slice_step),
    (&window::UPDATE_SLICE, window::update_slice_step),
    (&normalize::SOFTMAX_LAST, normalize::softmax_step),
    (&normalize::LOG_SOFTMAX_LAST, normalize::log_softmax_step),
    (&normalize::LAYER_NORMALIZE, normalize::layer_normalize_step),
    (&movement::UNSLICE, movement::unslice_step),
    (&movement::PAD, movement::pad_step),
    (&movement::CONCATENATE, movement::concatenate_step),
    (&packed::PACK, packed::pack_step),
    (&packed::WINOGRAD_FILTERS, packed::winograd_filters_step),
    (&moments::COLUMN_MOMENTS, moments::column_moments_step),
    (&moments::COLUMN_SUMS, moments::column_sums_step),
    (&row_sums::ROW_ORDER, row_sums::row_order_step),
    (&random::RANDOM_UNIFORM, random::uniform_step),
    (&random::RANDOM_NORMAL, random::normal_step),
    (&random::RANDOM_INTEGERS, random::integers_step),
    (&random::RANDOM_PERMUTATION, random::permutation_step),
    (&loss::SPARSE_SOFTMAX_CROSS_ENTROPY, loss::sparse_step),
    (&layer_norm::LAYER_NORM, layer_norm::layer_norm_step),
    (&layer_norm::LAYER_NORM_GRAD, layer_norm::layer_norm_grad_step),
    (&attention::ATTENTION, attention::attention_step),
    (&attention::ATTENTION_GRAD, attention::attention_grad_step),
    (&recurrence::LSTM, recurrence::lstm_step),
    (&recurrence::LSTM_GRAD, recurrence::lstm_grad_step),
    (&recurrence::GRU, recurrence::gru_step),
    (&recurrence::GRU_GRAD, recurrence::gru_grad_step),
    (&recurrence::SIMPLE_RNN, recurrence::simple_step),
    (&recurrence::SIMPLE_RNN_GRAD, recurrence::simple_grad_step),
    (&collective::ALL_REDUCE, collective::all_reduce_step),
];

type Head = fn(&[Ty], &[Attr], Ty) -> Box<dyn Blocked>;

const HEADS: &[(&OpDef, Head)] = &[
    (&packed::MATMUL_PACKED, |types, attrs, out| {
        let n = out.shape.sizes().last().copied().unwrap_or(1);
        Box::new(Packed::new(&types[0].shape, n, packed::in_pairs(attrs)))
    }),
    (&conv::CONV, conv::conv_head),
    (&packed::CONV_PACKED, packed::conv_head),
    (&packed::WINOGRAD_CONV, packed::winograd_head),
    (&conv::CONV_INPUT_GRAD, conv::input_grad_head),
    (&conv::CONV_WEIGHT_GRAD, conv::weight_grad_head),
    (&row_sums::ROW_SUMS, |types, _, out| {
        let [rows, n] = [out.shape.sizes()[0], out.shape.sizes()[1]];
        Box::new(RowSums::new(rows, n, types[1].shape.count().saturating_sub(rows + 1)))
    }),
    (&matmul::MATMUL, |types, attrs, out| {
        let transposed = [attrs[0].flag(), attrs[1].flag()];
        let b = (&types[1].shape, types[1].dtype);
        let product = Product::new(&types[0].shape, b, &out.shape, transposed);
        Box::new(product.rounded(matmul::precision(attrs) == DType::BF16))
    }),
];

/// The kernel of a row; `None` for rows that run by their shape alone (reductions, movement, views)
/// or are rewritten before anything runs.
#[must_use]
pub fn kernel(op: &'static OpDef) -> Option<Kernel> {
    static TABLE: Slot<HashMap<usize, Kernel>> = Slot::new();
    let address = |op: &OpDef| std::ptr::from_ref(op).addr();
    let table = TABLE.get_or_make(|| {
        let lanes = LANES.iter().copied().flatten();
        let lanes = lanes.map(|&(op, float, int)| (address(op), Kernel::Tile { float, int }));
        let steps = STEPS.iter().map(|&(op, step)| (address(op), Kernel::Step(step)));
        let heads = HEADS.iter().map(|&(op, head)| (address(op), Kernel::Head(head)));
        lanes.chain(steps).chain(heads).collect()
    });
    table.get(&address(op)).copied()
}
