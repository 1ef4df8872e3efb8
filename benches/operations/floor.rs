//! What nobody can beat: the memory that a workload has to read and write, over preallocated buffers,
//! on one thread and on all of them; the faster one counts.

use std::cell::RefCell;
use std::rc::Rc;

use pulp::Arch;
use rayon::prelude::*;

use crate::measure::Step;
use crate::workloads::Form;

/// Elements per task: at most so many that threads which finish early can take over.
const MOST: usize = 1 << 16;

/// Elements per task on this many threads.
fn task(len: usize, threads: usize) -> usize {
    if threads == 1 { len.max(1) } else { len.div_ceil(threads).clamp(1, MOST) }
}

/// Runs `pass` over this many elements on one thread and, where that can be a gain, on all.
fn on_one_and_all<B: 'static>(len: usize, buffers: B, pass: fn(&mut B, usize)) -> Vec<Form> {
    let buffers = Rc::new(RefCell::new(buffers));
    // Waking a thread takes longer than a pass over so few; and threads that look for work disturb
    // the other contenders.
    let threads = if len < 1 << 14 { 1 } else { rayon::current_num_threads() };
    let mut counts = vec![1, threads];
    counts.dedup();
    counts
        .into_iter()
        .map(|threads| {
            let buffers = Rc::clone(&buffers);
            let step: Step = Box::new(move || pass(&mut buffers.borrow_mut(), threads));
            (format!("threads: {threads}"), step)
        })
        .collect()
}

/// x → y, then (x, ȳ) → x̄.
pub(crate) fn unary(len: usize) -> Vec<Form> {
    let [x, g] = [1.5f32, 0.5].map(|value| vec![value; len]);
    let [y, dx] = [(), ()].map(|()| vec![0.0f32; len]);
    on_one_and_all(len, (x, g, y, dx), |(x, g, y, dx), threads| {
        let task = task(x.len(), threads);
        let forward = |(y, x): (&mut [f32], &[f32])| {
            Arch::new().dispatch(|| y.iter_mut().zip(x).for_each(|(y, x)| *y = x * x));
        };
        let backward = |((dx, x), g): ((&mut [f32], &[f32]), &[f32])| {
            Arch::new()
                .dispatch(|| dx.iter_mut().zip(x).zip(g).for_each(|((dx, x), g)| *dx = x * g));
        };
        if threads == 1 {
            forward((y, x));
            backward(((dx, x), g));
        } else {
            y.par_chunks_mut(task).zip(x.par_chunks(task)).for_each(forward);
            dx.par_chunks_mut(task)
                .zip(x.par_chunks(task))
                .zip(g.par_chunks(task))
                .for_each(backward);
        }
    })
}

/// (w, x, b) → y, then (w, x, ȳ) → (w̄, x̄). The gradient of `b` is ȳ itself.
pub(crate) fn multiply_add(len: usize) -> Vec<Form> {
    let inputs = [1.5f32, 0.5, 2.0, 0.25].map(|value| vec![value; len]);
    let outputs = [(), (), ()].map(|()| vec![0.0f32; len]);
    on_one_and_all(len, (inputs, outputs), |([w, x, b, g], [y, dw, dx]), threads| {
        let task = task(w.len(), threads);
        type Forward<'a> = (((&'a mut [f32], &'a [f32]), &'a [f32]), &'a [f32]);
        let forward = |(((y, w), x), b): Forward<'_>| {
            Arch::new().dispatch(|| {
                y.iter_mut().zip(w).zip(x).zip(b).for_each(|(((y, w), x), b)| *y = w * x + b);
            });
        };
        type Backward<'a> = ((((&'a mut [f32], &'a mut [f32]), &'a [f32]), &'a [f32]), &'a [f32]);
        let backward = |((((dw, dx), w), x), g): Backward<'_>| {
            Arch::new().dispatch(|| {
                for ((((dw, dx), w), x), g) in dw.iter_mut().zip(dx).zip(w).zip(x).zip(g) {
                    *dw = g * x;
                    *dx = g * w;
                }
            });
        };
        if threads == 1 {
            forward((((y, w), x), b));
            backward(((((dw, dx), w), x), g));
        } else {
            y.par_chunks_mut(task)
                .zip(w.par_chunks(task))
                .zip(x.par_chunks(task))
                .zip(b.par_chunks(task))
                .for_each(forward);
            dw.par_chunks_mut(task)
                .zip(dx.par_chunks_mut(task))
                .zip(w.par_chunks(task))
                .zip(x.par_chunks(task))
                .zip(g.par_chunks(task))
                .for_each(backward);
        }
    })
}
