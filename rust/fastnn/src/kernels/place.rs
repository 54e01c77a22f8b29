//! F2. An array written into parts of a larger one, and a value everywhere else: padding, and the
//! gradients of slices. Depends on the pool.

use crate::pool;
use crate::shape::MAX_RANK;

/// Elements of the result that are worth a chunk of their own.
const GRAIN: usize = 1 << 14;

/// One axis: element `i` of the operand lies at `start + i * step` of the result.
#[derive(Debug, Clone, Copy)]
pub struct Along {
    /// Elements of the result.
    pub size: usize,
    /// Elements of the operand.
    pub count: usize,
    /// Where the first of them lies.
    pub start: usize,
    /// From one to the next, of any sign.
    pub step: isize,
}

impl Along {
    /// One element, where it is: an axis that changes nothing.
    const WHOLE: Along = Along { size: 1, count: 1, start: 0, step: 1 };

    fn is_whole(&self) -> bool {
        self.count == self.size && self.start == 0 && self.step == 1
    }

    /// Which element of the operand lies at `at`.
    fn element(&self, at: usize) -> Option<usize> {
        let way = at as isize - self.start as isize;
        let i = way / self.step;
        (way % self.step == 0 && (0..self.count as isize).contains(&i)).then_some(i as usize)
    }
}

/// The last axis after those behind it were joined to it, and the axes before.
fn joined(axes: &[Along]) -> (Vec<Along>, Along) {
    let mut lead = axes.to_vec();
    let mut line = lead.pop().unwrap_or(Along::WHOLE);
    while line.is_whole()
        && let Some(last) = lead.pop_if(|last| last.step == 1)
    {
        let n = line.size;
        line = Along { size: last.size * n, count: last.count * n, start: last.start * n, step: 1 };
    }
    (lead, line)
}

/// Writes `value` everywhere in `dst` and the elements of `src` where the axes say.
///
/// # Safety
/// At most [`MAX_RANK`] axes with steps other than 0, whose elements lie inside their sizes; `dst`
/// covers the sizes, `src` the counts, and they are apart.
pub unsafe fn place<T: Copy + Send + Sync>(dst: *mut T, src: *const T, axes: &[Along], value: T) {
    struct Job<T>(*mut T, *const T);
    // SAFETY: work items read shared input and write disjoint lines.
    unsafe impl<T: Send> Sync for Job<T> {}
    assert!(axes.len() <= MAX_RANK && axes.iter().all(|a| a.step != 0), "invariant: steps lead on");
    let (lead, line) = joined(axes);
    let lines: usize = lead.iter().map(|a| a.size).product();
    if lines == 0 || line.size == 0 {
        return;
    }
    let job = Job(dst, src);
    pool::run_range(lines, (GRAIN / line.size).max(1), &|range| {
        let job = &job;
        for at in range {
            // SAFETY: `at` is below the lines of `dst`, and those of `src` are numbered by its counts.
            unsafe {
                let to = job.0.add(at * line.size);
                match line_of(&lead, at) {
                    Some(from) if line.count > 0 => write(to, job.1.add(from * line.count), &line, value),
                    _ => std::slice::from_raw_parts_mut(to, line.size).fill(value),
                }
            }
        }
    });
}

/// Which line of the operand lies in line `at` of the result.
fn line_of(lead: &[Along], mut at: usize) -> Option<usize> {
    let (mut line, mut stride) = (0, 1);
    for axis in lead.iter().rev() {
        line += axis.element(at % axis.size)? * stride;
        at /= axis.size;
        stride *= axis.count;
    }
    Some(line)
}

/// One line: the elements of the operand, and the value around or between them.
unsafe fn write<T: Copy>(to: *mut T, from: *const T, line: &Along, value: T) {
    let all = std::slice::from_raw_parts_mut(to, line.size);
    let from = std::slice::from_raw_parts(from, line.count);
    if line.step == 1 {
        let end = line.start + line.count;
        all[..line.start].fill(value);
        all[line.start..end].copy_from_slice(from);
        all[end..].fill(value);
    } else {
        all.fill(value);
        for (i, &x) in from.iter().enumerate() {
            all[(line.start as isize + i as isize * line.step) as usize] = x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, one element at a time.
    fn one_by_one(src: &[u32], axes: &[Along], value: u32) -> Vec<u32> {
        let mut out = vec![value; axes.iter().map(|a| a.size).product()];
        for (i, &x) in src.iter().enumerate() {
            let (mut rest, mut at, mut stride) = (i, 0, 1);
            for a in axes.iter().rev() {
                at += (a.start as isize + (rest % a.count) as isize * a.step) as usize * stride;
                rest /= a.count;
                stride *= a.size;
            }
            out[at] = x;
        }
        out
    }

    fn along(size: usize, count: usize, start: usize, step: isize) -> Along {
        Along { size, count, start, step }
    }

    #[test]
    fn every_element_lies_where_the_axes_say() {
        let choices = [
            along(1, 1, 0, 1),
            along(3, 3, 0, 1),
            along(5, 3, 1, 1),
            along(6, 3, 5, -2),
            along(7, 3, 0, 3),
            along(4, 0, 2, 1),
            along(2, 2, 1, -1),
            along(0, 0, 0, 1),
        ];
        let mut cases = vec![vec![]];
        for rank in 1..=3 {
            let longer: Vec<Vec<Along>> = cases
                .iter()
                .filter(|c: &&Vec<Along>| c.len() + 1 == rank)
                .flat_map(|c| choices.iter().map(|&a| [c.clone(), vec![a]].concat()))
                .collect();
            cases.extend(longer);
        }
        cases.push(vec![along(40, 30, 5, 1), along(50, 50, 0, 1), along(30, 30, 0, 1)]);
        for axes in cases {
            let src: Vec<u32> = (1..).take(axes.iter().map(|a| a.count).product()).collect();
            let expected = one_by_one(&src, &axes, 9);
            let mut out = vec![7; expected.len()];
            // SAFETY: both cover what the axes say.
            unsafe { place(out.as_mut_ptr(), src.as_ptr(), &axes, 9) };
            assert!(out == expected, "{axes:?}");
        }
    }
}
