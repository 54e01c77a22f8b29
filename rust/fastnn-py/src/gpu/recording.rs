//! A list of dispatches, encoded and submitted in one call: the functions of `webgpu.h` by their
//! addresses in the library that wgpu-py has loaded, which is the only one that knows the handles.

use crate::error::{Result, data_error, enter};
use crate::interpreter;
use fastnn::error::Error;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::c_void;
use std::ptr;

/// A handle of the library.
type Handle = *mut c_void;

/// The functions, as `webgpu.h` has declared them since version 22 of wgpu-native.
struct Functions {
    create_encoder: unsafe extern "C" fn(Handle, *const c_void) -> Handle,
    begin_pass: unsafe extern "C" fn(Handle, *const c_void) -> Handle,
    set_pipeline: unsafe extern "C" fn(Handle, Handle),
    set_group: unsafe extern "C" fn(Handle, u32, Handle, usize, *const u32),
    dispatch: unsafe extern "C" fn(Handle, u32, u32, u32),
    end_pass: unsafe extern "C" fn(Handle),
    copy: unsafe extern "C" fn(Handle, Handle, u64, Handle, u64, u64),
    finish: unsafe extern "C" fn(Handle, *const c_void) -> Handle,
    submit: unsafe extern "C" fn(Handle, usize, *const Handle),
    release_pass: unsafe extern "C" fn(Handle),
    release_encoder: unsafe extern "C" fn(Handle),
    release_buffer: unsafe extern "C" fn(Handle),
}

const NAMES: [&str; 12] = [
    "wgpuDeviceCreateCommandEncoder",
    "wgpuCommandEncoderBeginComputePass",
    "wgpuComputePassEncoderSetPipeline",
    "wgpuComputePassEncoderSetBindGroup",
    "wgpuComputePassEncoderDispatchWorkgroups",
    "wgpuComputePassEncoderEnd",
    "wgpuCommandEncoderCopyBufferToBuffer",
    "wgpuCommandEncoderFinish",
    "wgpuQueueSubmit",
    "wgpuComputePassEncoderRelease",
    "wgpuCommandEncoderRelease",
    "wgpuCommandBufferRelease",
];

impl Functions {
    fn new(addresses: &Bound<'_, PyDict>) -> Result<Functions> {
        let mut at = [0usize; NAMES.len()];
        for (name, at) in NAMES.iter().zip(&mut at) {
            match addresses.get_item(name)? {
                Some(address) => *at = address.extract()?,
                None => return data_error(format!("functions: there is no '{name}'")),
            }
            if *at == 0 {
                return data_error(format!("functions: '{name}' has no address"));
            }
        }
        #[expect(clippy::missing_transmute_annotations, reason = "the fields have the prototypes")]
        // SAFETY: the caller promises that each address is that of the function of its name, whose
        // prototypes these are; none is null.
        unsafe {
            Ok(Functions {
                create_encoder: std::mem::transmute::<usize, _>(at[0]),
                begin_pass: std::mem::transmute::<usize, _>(at[1]),
                set_pipeline: std::mem::transmute::<usize, _>(at[2]),
                set_group: std::mem::transmute::<usize, _>(at[3]),
                dispatch: std::mem::transmute::<usize, _>(at[4]),
                end_pass: std::mem::transmute::<usize, _>(at[5]),
                copy: std::mem::transmute::<usize, _>(at[6]),
                finish: std::mem::transmute::<usize, _>(at[7]),
                submit: std::mem::transmute::<usize, _>(at[8]),
                release_pass: std::mem::transmute::<usize, _>(at[9]),
                release_encoder: std::mem::transmute::<usize, _>(at[10]),
                release_buffer: std::mem::transmute::<usize, _>(at[11]),
            })
        }
    }
}

/// Dispatches and copies of one program, ready to be submitted without Python in between.
///
/// `functions` are addresses by the names of `webgpu.h`; `device`, `queue`, pipelines, groups and buffers
/// are handles of the same library as whole numbers. `steps` are tuples of pipeline, group and the three
/// sizes of the grid, `copies` of source, target and bytes. `keep` is what owns the handles; it lives as
/// long as this. Wrong addresses or handles end the process: this is for fastnn's own executor, which
/// has run the program once through wgpu-py, where mistakes are exceptions.
#[pyclass(frozen, name = "GpuRecording", module = "fastnn._core")]
pub(crate) struct PyGpuRecording {
    functions: Functions,
    device: usize,
    queue: usize,
    steps: Vec<(usize, usize, u32, u32, u32)>,
    copies: Vec<(usize, usize, u64)>,
    _keep: Py<PyAny>,
}

#[pymethods]
impl PyGpuRecording {
    #[new]
    fn new(
        functions: &Bound<'_, PyDict>,
        device: usize,
        queue: usize,
        steps: Vec<(usize, usize, u32, u32, u32)>,
        copies: Vec<(usize, usize, u64)>,
        keep: Py<PyAny>,
    ) -> PyResult<PyGpuRecording> {
        enter(|| {
            let handles = steps.iter().flat_map(|s| [s.0, s.1]).chain(copies.iter().flat_map(|c| [c.0, c.1]));
            if device == 0 || queue == 0 || handles.into_iter().any(|h| h == 0) {
                return data_error(String::from("a handle of a recording is null"));
            }
            if steps.iter().any(|s| s.2 == 0 || s.3 == 0 || s.4 == 0) {
                return data_error(String::from("a step of a recording has an empty grid"));
            }
            let functions = Functions::new(functions)?;
            Ok(PyGpuRecording { functions, device, queue, steps, copies, _keep: keep })
        })
    }

    /// Encodes and submits the program `times` times, as one command buffer.
    #[pyo3(signature = (times=1))]
    fn run(&self, py: Python<'_>, times: usize) -> PyResult<()> {
        enter(|| Ok(interpreter::detach(py, || self.submit(times))?))
    }

    /// Encodes the dispatches into a compute pass that is open, given by its handle; the copies, and the
    /// end of the pass, are the caller's.
    fn encode(&self, compute: usize) -> PyResult<()> {
        enter(|| {
            if compute == 0 {
                return data_error(String::from("the handle of a compute pass is null"));
            }
            // SAFETY: the pass is open, of the same library and of this thread, as the caller promises;
            // for the rest see `submit`.
            unsafe { self.dispatches(ptr::with_exposed_provenance_mut(compute)) };
            Ok(())
        })
    }

    /// How many dispatches a run has.
    fn __len__(&self) -> usize {
        self.steps.len()
    }
}

impl PyGpuRecording {
    /// # Safety
    /// The pass is open, and of the library of the handles.
    unsafe fn dispatches(&self, pass: Handle) {
        let f = &self.functions;
        let handle = |h: usize| ptr::with_exposed_provenance_mut::<c_void>(h);
        let (mut pipeline, mut group) = (0, 0);
        for &(p, g, x, y, z) in &self.steps {
            if p != pipeline {
                (f.set_pipeline)(pass, handle(p));
                pipeline = p;
            }
            if g != group {
                (f.set_group)(pass, 0, handle(g), 0, ptr::null());
                group = g;
            }
            (f.dispatch)(pass, x, y, z);
        }
    }

    fn submit(&self, times: usize) -> fastnn::error::Result<()> {
        let f = &self.functions;
        let handle = |h: usize| ptr::with_exposed_provenance_mut::<c_void>(h);
        // SAFETY: the functions and handles are of one library, and `keep` owns the handles, as the
        // maker of this has promised. A command buffer is submitted once; everything that is made here
        // is released here.
        unsafe {
            let encoder = (f.create_encoder)(handle(self.device), ptr::null());
            if encoder.is_null() {
                return Err(Error::Device(
                    "the device gives no command encoder\n  hint: it may be lost".into(),
                ));
            }
            for _ in 0..times {
                let pass = (f.begin_pass)(encoder, ptr::null());
                self.dispatches(pass);
                (f.end_pass)(pass);
                (f.release_pass)(pass);
                for &(from, to, bytes) in &self.copies {
                    (f.copy)(encoder, handle(from), 0, handle(to), 0, bytes);
                }
            }
            let commands = (f.finish)(encoder, ptr::null());
            (f.release_encoder)(encoder);
            if commands.is_null() {
                return Err(Error::Device(
                    "the device gives no command buffer\n  hint: it may be lost".into(),
                ));
            }
            (f.submit)(handle(self.queue), 1, &raw const commands);
            (f.release_buffer)(commands);
        }
        Ok(())
    }
}
