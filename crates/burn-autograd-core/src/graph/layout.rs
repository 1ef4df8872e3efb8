//! Where the boxes of a picture go: layers from the longest path, an order within each layer that
//! has few crossings, and positions near those of the neighbours. (The method of Sugiyama, Tagawa
//! and Toda, 1981.)

/// A box, in layers from the top.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The middle of the box.
    pub(super) x: f64,
    /// The top of the box.
    pub(super) y: f64,
}

/// Positions of all boxes, and for each edge the points that it passes.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) places: Vec<Place>,
    pub(super) routes: Vec<Vec<(f64, f64)>>,
    pub(super) width: f64,
    pub(super) height: f64,
}

const GAP: f64 = 26.0;
const LAYER_GAP: f64 = 42.0;
const MARGIN: f64 = 24.0;
/// How many layers an edge keeps clear of the boxes.
const LONG: usize = 12;

/// One box, or one point where a long edge passes a layer.
#[derive(Debug, Clone)]
struct Cell {
    width: f64,
    layer: usize,
    x: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

/// Lays out boxes of the given sizes. An edge (from, to) goes down: `from` is smaller than `to`.
pub(super) fn layout(sizes: &[(f64, f64)], edges: &[(usize, usize)]) -> Layout {
    let mut layers = vec![0usize; sizes.len()];
    let mut sources: Vec<Vec<usize>> = vec![Vec::new(); sizes.len()];
    let mut targets: Vec<Vec<usize>> = vec![Vec::new(); sizes.len()];
    for (from, to) in edges {
        sources[*to].push(*from);
        targets[*from].push(*to);
    }
    for to in 0..sizes.len() {
        layers[to] = sources[to].iter().map(|from| layers[*from] + 1).max().unwrap_or(0);
    }
    // What is computed from unshared leaves alone stands right above the first that uses it.
    let mut movable = vec![false; sizes.len()];
    for index in 0..sizes.len() {
        movable[index] =
            sources[index].iter().all(|from| movable[*from] && targets[*from].len() == 1);
    }
    for index in (0..sizes.len()).rev().filter(|index| movable[*index]) {
        if let Some(first) = targets[index].iter().map(|to| layers[*to]).min() {
            layers[index] = first.saturating_sub(1);
        }
    }

    let mut cells: Vec<Cell> = sizes
        .iter()
        .zip(&layers)
        .map(|((width, _), layer)| Cell {
            width: *width,
            layer: *layer,
            x: 0.0,
            above: Vec::new(),
            below: Vec::new(),
        })
        .collect();
    let mut chains = Vec::with_capacity(edges.len());
    for (from, to) in edges {
        let mut chain = vec![*from];
        // An edge across a whole picture has no place of its own in every layer: it passes behind.
        let long = layers[*to] - layers[*from] > LONG;
        for layer in (layers[*from] + 1..layers[*to]).filter(|_| !long) {
            chain.push(cells.len());
            cells.push(Cell { width: 8.0, layer, x: 0.0, above: Vec::new(), below: Vec::new() });
        }
        chain.push(*to);
        for pair in chain.windows(2).filter(|_| !long) {
            cells[pair[0]].below.push(pair[1]);
            cells[pair[1]].above.push(pair[0]);
        }
        chains.push(chain);
    }

    let depth = cells.iter().map(|cell| cell.layer + 1).max().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); depth];
    for (index, cell) in cells.iter().enumerate() {
        rows[cell.layer].push(index);
    }
    order(&mut rows, &cells);
    place(&rows, &mut cells);

    let least = cells.iter().map(|cell| cell.x - cell.width / 2.0).fold(f64::INFINITY, f64::min);
    let shift = if least.is_finite() { MARGIN - least } else { MARGIN };
    for cell in &mut cells {
        cell.x += shift;
    }
    let heights: Vec<f64> = rows
        .iter()
        .map(|row| {
            row.iter().filter_map(|cell| sizes.get(*cell)).map(|size| size.1).fold(0.0, f64::max)
        })
        .collect();
    let mut tops = Vec::with_capacity(depth);
    let mut y = MARGIN;
    for height in &heights {
        tops.push(y);
        y += height + LAYER_GAP;
    }

    let routes = chains
        .iter()
        .map(|chain| {
            let mut points = Vec::with_capacity(chain.len());
            for (step, cell) in chain.iter().enumerate() {
                let Cell { x, layer, .. } = cells[*cell];
                if step == 0 {
                    points.push((x, tops[layer] + sizes[*cell].1));
                } else if step + 1 == chain.len() {
                    points.push((x, tops[layer]));
                } else {
                    points.push((x, tops[layer]));
                    points.push((x, tops[layer] + heights[layer]));
                }
            }
            points
        })
        .collect();
    Layout {
        places: cells[..sizes.len()]
            .iter()
            .map(|cell| Place { x: cell.x, y: tops[cell.layer] })
            .collect(),
        routes,
        width: cells.iter().map(|cell| cell.x + cell.width / 2.0).fold(0.0, f64::max) + MARGIN,
        height: y - LAYER_GAP.min(y) + MARGIN,
    }
}

/// Sorts each row by the mean position of the neighbours, down and up.
fn order(rows: &mut [Vec<usize>], cells: &[Cell]) {
    let mut rank = vec![0.0; cells.len()];
    let number = |row: &[usize], rank: &mut [f64]| {
        for (position, cell) in row.iter().enumerate() {
            rank[*cell] = position as f64;
        }
    };
    for row in rows.iter() {
        number(row, &mut rank);
    }
    for sweep in 0..8 {
        let down = sweep % 2 == 0;
        let sequence: Vec<usize> =
            if down { (0..rows.len()).collect() } else { (0..rows.len()).rev().collect() };
        for layer in sequence {
            let key = |cell: usize| {
                let neighbours = if down { &cells[cell].above } else { &cells[cell].below };
                match neighbours.is_empty() {
                    true => rank[cell],
                    false => {
                        neighbours.iter().map(|n| rank[*n]).sum::<f64>() / neighbours.len() as f64
                    }
                }
            };
            let mut keyed: Vec<_> = rows[layer].iter().map(|cell| (key(*cell), *cell)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[layer] = keyed.into_iter().map(|(_, cell)| cell).collect();
            number(&rows[layer], &mut rank);
        }
    }
}

/// Moves every cell towards the mean of its neighbours, keeping order and distance.
fn place(rows: &[Vec<usize>], cells: &mut [Cell]) {
    for row in rows {
        let mut x = 0.0;
        for &cell in row {
            x += cells[cell].width / 2.0;
            cells[cell].x = x;
            x += cells[cell].width / 2.0 + GAP;
        }
        for &cell in row {
            cells[cell].x -= x / 2.0;
        }
    }
    for sweep in 0..24 {
        for row in rows {
            let wish = |cell: usize, cells: &[Cell]| {
                let Cell { above, below, x, .. } = &cells[cell];
                let neighbours: Vec<usize> = match sweep % 3 {
                    0 => above.clone(),
                    1 => below.clone(),
                    _ => above.iter().chain(below).copied().collect(),
                };
                match neighbours.is_empty() {
                    true => *x,
                    false => {
                        neighbours.iter().map(|n| cells[*n].x).sum::<f64>()
                            / neighbours.len() as f64
                    }
                }
            };
            let wishes: Vec<f64> = row.iter().map(|cell| wish(*cell, cells)).collect();
            let apart =
                |a: usize, b: usize, cells: &[Cell]| (cells[a].width + cells[b].width) / 2.0 + GAP;
            // Pushed to the right as far as needed, and to the left; the truth is between.
            let mut right = wishes.clone();
            for i in 1..row.len() {
                right[i] = right[i].max(right[i - 1] + apart(row[i - 1], row[i], cells));
            }
            let mut left = wishes;
            for i in (1..row.len()).rev() {
                left[i - 1] = left[i - 1].min(left[i] - apart(row[i - 1], row[i], cells));
            }
            for (i, cell) in row.iter().enumerate() {
                cells[*cell].x = (left[i] + right[i]) / 2.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_do_not_overlap_and_edges_go_down() {
        let sizes = vec![(80.0, 30.0); 9];
        let edges = [
            (0, 3),
            (1, 3),
            (2, 4),
            (3, 4),
            (0, 5),
            (4, 5),
            (3, 6),
            (5, 7),
            (6, 7),
            (2, 8),
            (7, 8),
        ];
        let layout = layout(&sizes, &edges);
        for (a, place) in layout.places.iter().enumerate() {
            for other in &layout.places[a + 1..] {
                let apart = (place.x - other.x).abs() >= 80.0 || (place.y - other.y).abs() >= 30.0;
                assert!(apart, "{place:?} {other:?}");
            }
            assert!(place.x - 40.0 >= 0.0 && place.x + 40.0 <= layout.width);
            assert!(place.y >= 0.0 && place.y + 30.0 <= layout.height);
        }
        for (from, to) in edges {
            assert!(layout.places[from].y + 30.0 < layout.places[to].y);
        }
        for route in &layout.routes {
            assert!(route.windows(2).all(|points| points[0].1 <= points[1].1));
        }
    }
}
