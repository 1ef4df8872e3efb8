//! `--plot FILE.png`: the data, what was fitted to them, and how the loss went down.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use plotters::prelude::*;

use super::cli;
use super::fit::Losses;

/// The option `--plot`, for `#[command(flatten)]`.
#[derive(Debug, clap::Args)]
pub(crate) struct Plot {
    /// Write a picture of the data, the fitted curve and the loss.
    #[arg(long, value_name = "FILE.png", value_parser = writable)]
    plot: Option<PathBuf>,
}

/// What is drawn.
#[derive(Debug)]
pub(crate) struct Picture<'a> {
    /// Above everything.
    pub(crate) title: &'a str,
    /// The points.
    pub(crate) x: &'a [f64],
    /// The data at the points, and their name.
    pub(crate) data: (&'a str, &'a [f64]),
    /// Curves at the points, each with its name.
    pub(crate) curves: &'a [(&'a str, Vec<f64>)],
    /// Losses, each with its name.
    pub(crate) losses: &'a [(&'a str, &'a Losses)],
}

impl Plot {
    /// Writes the picture if it was asked for. Leaves the program with exit code 2 and an explanation
    /// if that fails.
    pub(crate) fn draw(&self, picture: &Picture<'_>) {
        let Some(path) = &self.plot else { return };
        match picture.write(path) {
            Ok(()) => println!("Picture: {}", path.display()),
            Err(error) => cli::leave(&format!("--plot {}: {error}", path.display())),
        }
    }
}

/// Refuses before the fit what could not be written after it.
fn writable(path: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    if !path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
        return Err("expected a file name that ends in .png".to_owned());
    }
    if path.is_dir() {
        return Err("this is a folder".to_owned());
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(format!("there is no folder {}", folder.display()))
        }
        _ => Ok(path),
    }
}

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 500;
const FONT: &str = "sans-serif";
/// Told apart with any kind of colour vision (Okabe and Ito).
const COLORS: [RGBColor; 4] =
    [RGBColor(213, 94, 0), RGBColor(0, 114, 178), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];
const DATA: RGBColor = RGBColor(90, 90, 90);

impl Picture<'_> {
    fn write(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        // Embedded, so that no font has to be installed.
        plotters::style::register_font(FONT, FontStyle::Normal, dejavu::sans::regular())
            .map_err(|_| "the font cannot be read")?;
        let mut pixels = vec![0; (WIDTH * HEIGHT * 3) as usize];
        {
            let area = BitMapBackend::with_buffer(&mut pixels, (WIDTH, HEIGHT)).into_drawing_area();
            area.fill(&WHITE)?;
            let area = area.margin(8, 0, 0, 16).titled(self.title, (FONT, 24))?;
            let (left, right) = area.split_horizontally(WIDTH / 2);
            self.draw_curves(&left)?;
            self.draw_losses(&right)?;
            area.present()?;
        }
        let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), WIDTH, HEIGHT);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        // Otherwise an error of the last bytes would be lost.
        writer.finish()?;
        Ok(())
    }

    fn draw_curves(&self, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
        let (name, data) = self.data;
        let curves = self.curves.iter().flat_map(|(_, curve)| curve);
        let (x, y) = (range(self.x.iter()), range(data.iter().chain(curves)));
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(x, y)?;
        let style = (FONT, 14);
        // Adding zero makes a zero of −0.
        let label = |number: &f64| format!("{:.1}", (10.0 * number).round() / 10.0 + 0.0);
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("x")
            .y_desc("y")
            .x_label_formatter(&label)
            .y_label_formatter(&label)
            .label_style(style)
            .draw()?;
        // All points would make a thick line, under which a curve could hide.
        let some = self.x.iter().zip(data).step_by((self.x.len() / 40).max(1));
        chart
            .draw_series(some.map(|(x, y)| Circle::new((*x, *y), 4, DATA)))?
            .label(name)
            .legend(|(x, y)| Circle::new((x + 10, y), 4, DATA));
        for ((name, curve), color) in self.curves.iter().zip(COLORS.iter().cycle()) {
            let points = self.x.iter().copied().zip(curve.iter().copied());
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)))?
                .label(*name)
                .legend(move |(x, y)| line(x, y, color));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font(style)
            .background_style(WHITE.mix(0.85))
            .border_style(DATA)
            .draw()?;
        Ok(())
    }

    fn draw_losses(&self, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
        let points = || self.losses.iter().flat_map(|(_, losses)| losses.points());
        let last = points().map(|(step, _)| *step).max().unwrap_or(1);
        // A logarithm has no place for other numbers.
        let positive = || points().map(|(_, loss)| *loss).filter(|loss| *loss > 0.0);
        let lowest = positive().fold(f64::INFINITY, f64::min);
        let highest = positive().fold(0.0, f64::max);
        if !(lowest.is_finite() && highest.is_finite()) {
            return Err("no loss is a positive number".into());
        }
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(72)
            .build_cartesian_2d(
                0.0..(last + 1) as f64,
                (lowest / 1.5..highest * 1.5).log_scale(),
            )?;
        let style = (FONT, 14);
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("step")
            .y_desc("loss")
            .x_label_formatter(&|step| format!("{step:.0}"))
            .y_label_formatter(&|loss| format!("{loss}"))
            .label_style(style)
            .draw()?;
        for ((name, losses), color) in self.losses.iter().zip(COLORS.iter().cycle()) {
            let points = losses.points().iter().filter(|(_, loss)| *loss > 0.0);
            let points = points.map(|(step, loss)| (*step as f64, *loss));
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)))?
                .label(*name)
                .legend(move |(x, y)| line(x, y, color));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .label_font(style)
            .background_style(WHITE.mix(0.85))
            .border_style(DATA)
            .draw()?;
        Ok(())
    }
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;

fn line(x: i32, y: i32, color: &RGBColor) -> PathElement<(i32, i32)> {
    PathElement::new(vec![(x, y), (x + 20, y)], color.stroke_width(2))
}

/// From the lowest to the highest number, and a little more.
fn range<'a>(numbers: impl Iterator<Item = &'a f64>) -> std::ops::Range<f64> {
    let (low, high) = numbers
        .filter(|number| number.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| {
            (low.min(*number), high.max(*number))
        });
    if low > high {
        return 0.0..1.0;
    }
    let margin = if high > low { (high - low) * 0.05 } else { 1.0 };
    low - margin..high + margin
}
