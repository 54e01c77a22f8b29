//! F2. Convolutions over three spatial axes, channels last, as makers of blocks on the micro-kernel
//! of products. No patches are written out: along the last axis the taps of a kernel see
//! neighbouring elements, so a row of the kernel is one stretch of a sum whose operand lies in
//! memory already, and a tile reaches its rows by pointers. Where a window hangs over the border or
//! channels come in groups, a task copies the lines that it needs into a workspace first ([`Band`]).
//!
//! Padding counts as zeros. Where it meets a factor that is not finite, the product may be NaN or be
//! left out.
//!
//! Tasks and the order of every sum follow from the problem and the instruction set alone.

// Index loops over arrays of vectors unroll and stay in registers; iterators would obscure that.
#![allow(clippy::needless_range_loop)]

pub mod depthwise;
pub mod forward;
pub mod input_grad;
mod lines;
mod segments;
pub mod weight_grad;
pub mod winograd;
pub mod winograd_weights;

/// The window along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Size of x.
    pub input: usize,
    /// Size of y: places of the window.
    pub output: usize,
    /// Taps.
    pub kernel: usize,
    /// From place to place.
    pub stride: usize,
    /// From tap to tap.
    pub dilation: usize,
    /// Padding before the first element.
    pub before: usize,
}

impl Axis {
    /// The element that a tap sees at a place, `None` in the padding.
    #[must_use]
    pub fn seen(&self, place: usize, tap: usize) -> Option<usize> {
        let at = (place * self.stride + tap * self.dilation).checked_sub(self.before)?;
        (at < self.input).then_some(at)
    }

    /// The taps that see an element at a place: those from the first to before the second number.
    #[must_use]
    pub fn taps(&self, place: usize) -> (usize, usize) {
        let first = self.before.saturating_sub(place * self.stride).div_ceil(self.dilation);
        let room = (self.input + self.before).saturating_sub(place * self.stride);
        let end = room.div_ceil(self.dilation).min(self.kernel);
        (first.min(end), end)
    }

    /// The place at which a tap sees an element, if there is one.
    #[must_use]
    pub fn place(&self, element: usize, tap: usize) -> Option<usize> {
        let at = (element + self.before).checked_sub(tap * self.dilation)?;
        (at.is_multiple_of(self.stride) && at / self.stride < self.output).then_some(at / self.stride)
    }

    /// True when a window hangs over a border.
    fn hangs_over(&self) -> bool {
        self.before > 0
            || self.output.saturating_sub(1) * self.stride + (self.kernel - 1) * self.dilation >= self.input
    }
}

/// A convolution of x (images, three sizes, groups * channels) with w (three kernel sizes, channels,
/// groups * filters) to y (images, three sizes, groups * filters).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// The batch.
    pub images: usize,
    /// Groups of channels, each with filters of its own.
    pub groups: usize,
    /// Channels of a group.
    pub channels: usize,
    /// Filters of a group.
    pub filters: usize,
    /// Depth, height, width.
    pub axes: [Axis; 3],
}

impl Geometry {
    /// One filter per channel.
    #[must_use]
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.channels == 1 && self.filters == 1
    }

    /// Places of the window in all images.
    #[must_use]
    pub fn places(&self) -> usize {
        self.images * self.axes.iter().map(|a| a.output).product::<usize>()
    }

    /// Elements of x without the channels.
    fn elements(&self) -> usize {
        self.images * self.axes.iter().map(|a| a.input).product::<usize>()
    }

    /// Taps of the kernel.
    #[must_use]
    pub fn taps(&self) -> usize {
        self.axes.iter().map(|a| a.kernel).product()
    }

    /// All pairs of an image and a group with an element, the place that sees it and the tap that it
    /// is seen by, in the order (image, place, tap): for the oracle.
    pub fn each_product(&self, mut f: impl FnMut(usize, [[usize; 3]; 3], usize)) {
        let [d, h, w] = self.axes;
        let box_of = |n: [usize; 3]| {
            (0..n[0]).flat_map(move |a| (0..n[1]).flat_map(move |b| (0..n[2]).map(move |c| [a, b, c])))
        };
        for image in 0..self.images {
            for y in box_of([d.output, h.output, w.output]) {
                for tap in box_of([d.kernel, h.kernel, w.kernel]) {
                    let x = (d.seen(y[0], tap[0]), h.seen(y[1], tap[1]), w.seen(y[2], tap[2]));
                    if let (Some(a), Some(b), Some(c)) = x {
                        (0..self.groups).for_each(|group| f(image, [[a, b, c], y, tap], group));
                    }
                }
            }
        }
    }
}
