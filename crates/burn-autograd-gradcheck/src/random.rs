/// The SplitMix64 generator: the same numbers on every machine and backend, from a seed.
///
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
///
/// ```
/// use burn_autograd_gradcheck::SplitMix64;
///
/// // The first output of the reference implementation for seed 0.
/// assert_eq!(SplitMix64::new(0).next_u64(), 0xE220_A839_7B1D_CDAF);
/// ```
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator of its own sequence for every seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [low, high), rounded to a multiple of 2⁻¹², so that `f32` holds it exactly and
    /// adding a step that is a power of two loses nothing.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        ((low + (high - low) * unit) * 4096.0).floor() / 4096.0
    }

    /// A cotangent: a sign, and a size in [½, 2). Signs, so that errors of both signs don't cancel
    /// against a constant; sizes, so that exchanged entries don't; bounded away from zero, so that
    /// no entry is overlooked.
    pub fn cotangent(&mut self) -> f64 {
        let size = self.uniform(0.5, 2.0);
        if self.next_u64() & 1 == 0 { size } else { -size }
    }
}
