//! Sizes of tiles, and which of them a product takes on an adapter.

use crate::dispatch::Limits;

/// Sizes of a tile: of the result, of a step along the depth, and of what one invocation makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Rows and columns of the result.
    pub size: [usize; 2],
    /// Of a step.
    pub depth: usize,
    /// Rows and columns of an invocation, multiples of 4.
    pub own: [usize; 2],
    /// How much it makes in a time, where nothing was measured: only the ratios count.
    speed: u32,
}

/// How many sizes there are.
pub const COUNT: usize = 7;

/// A large tile reads less for a product; of small ones there are more.
pub const TILES: [Tile; COUNT] = [
    Tile { size: [128, 128], depth: 16, own: [8, 8], speed: 100 },
    Tile { size: [128, 128], depth: 8, own: [8, 8], speed: 95 },
    Tile { size: [128, 64], depth: 16, own: [8, 4], speed: 85 },
    Tile { size: [64, 64], depth: 16, own: [4, 4], speed: 75 },
    Tile { size: [64, 32], depth: 16, own: [4, 4], speed: 60 },
    Tile { size: [64, 16], depth: 16, own: [4, 4], speed: 45 },
    Tile { size: [32, 32], depth: 16, own: [4, 4], speed: 46 },
];

/// Speeds of [`TILES`] where nothing was measured.
pub const SPEEDS: [u32; COUNT] = {
    let mut speeds = [0; COUNT];
    let mut at = 0;
    while at < COUNT {
        speeds[at] = TILES[at].speed;
        at += 1;
    }
    speeds
};

/// Workgroups below which a device has idle processors.
const BUSY: usize = 128;

/// The least depth of one part of a product that is cut along its depth.
const PART: usize = 512;

/// Lines of a strip in workgroup memory are this much longer, so that they begin in different banks.
pub(super) const PAD: usize = 4;

impl Tile {
    /// Its name: rows, columns, depth.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}x{}x{}", self.size[0], self.size[1], self.depth)
    }

    /// Invocations along the rows and along the columns.
    pub(super) fn across(&self) -> [usize; 2] {
        [0, 1].map(|k| self.size[k] / self.own[k])
    }

    pub(super) fn threads(&self) -> usize {
        self.across().iter().product()
    }

    /// Bytes of workgroup memory: a strip of each side.
    pub(super) fn bytes(&self) -> usize {
        self.depth * (self.size[0] + self.size[1] + 2 * PAD) * 4
    }

    /// Can an adapter run it?
    #[must_use]
    pub fn fits(&self, limits: &Limits) -> bool {
        self.bytes() <= limits.workgroup_bytes && self.threads() <= limits.workgroup_invocations as usize
    }
}

/// The tile for a product of these rows, columns and depth, `batch` times, and in how many parts its depth
/// is summed. The time of a tile is that of its elements, those past the edges too, in as many turns as
/// the workgroups need; of equal times the larger tile wins.
pub(super) fn chosen(limits: &Limits, batch: usize, size: [usize; 2], depth: usize) -> (Tile, usize) {
    let mut best = (f64::INFINITY, TILES[COUNT - 1], 1);
    for (tile, speed) in TILES.iter().zip(limits.speeds) {
        if speed == 0 || !tile.fits(limits) {
            continue;
        }
        let tiles = size[0].div_ceil(tile.size[0]) * size[1].div_ceil(tile.size[1]) * batch;
        let parts = if tiles < BUSY { (depth / PART).clamp(1, BUSY.div_ceil(tiles.max(1))) } else { 1 };
        let turns = ((tiles * parts) as f64 / BUSY as f64).max(1.0);
        let work = (tile.size[0] * tile.size[1] * depth.div_ceil(parts).max(1)) as f64;
        let time = turns * work / f64::from(speed);
        if time < best.0 {
            best = (time, *tile, parts);
        }
    }
    let (_, tile, parts) = best;
    let part = depth.div_ceil(parts).next_multiple_of(tile.depth).max(tile.depth);
    (tile, depth.div_ceil(part).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(size: [usize; 2], depth: usize) -> (String, usize) {
        let wide = Limits { workgroup_bytes: 32_768, ..Limits::PORTABLE };
        let (tile, parts) = chosen(&wide, 1, size, depth);
        (tile.name(), parts)
    }

    #[test]
    fn test_tiles_follow_the_shape_and_the_adapter() {
        assert_eq!(name([4096, 4096], 4096), ("128x128x16".into(), 1));
        assert_eq!(name([700, 700], 64), ("64x64x16".into(), 1));
        assert_eq!(name([40_000, 16], 64), ("64x16x16".into(), 1));
        assert_eq!(name([33, 40], 2050), ("32x32x16".into(), 4));
        let narrow = chosen(&Limits::PORTABLE, 1, [4096, 4096], 4096).0;
        assert_eq!(narrow.name(), "128x128x8");
        assert!(TILES.iter().all(|tile| tile.threads() <= 256 && tile.own.iter().all(|n| n % 4 == 0)));
    }

    #[test]
    fn test_measured_speeds_decide() {
        let mut limits = Limits { workgroup_bytes: 32_768, ..Limits::PORTABLE };
        limits.speeds = [0; COUNT];
        limits.speeds[5] = 1;
        assert_eq!(chosen(&limits, 1, [4096, 4096], 4096).0.name(), "64x16x16");
    }
}
