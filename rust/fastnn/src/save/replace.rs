//! Files that are either whole or not there. The new content goes to a temporary file in the same
//! folder, reaches the disk, and takes the place of the target in one step: a reader, or a crash at
//! any moment, sees the old file or the new one.
//!
//! As a careful editor does it: a link stays a link, also one whose target does not exist yet; a
//! pipe, a device or a folder is refused; mode and owner of an existing file stay, a new one gets
//! the mode that the umask leaves. Hard links to the old file keep the old content.
//!
//! Temporaries are named `.{name}.{boot}-{random}.fastnn-tmp` and locked by their writer, so that the
//! next writer of the same target can clear away what killed ones left, and only that: a process
//! number would say nothing about other containers or other machines.

use super::safetensors::io_error;
use crate::error::{Error, Result, shown};
use std::fs::{self, File, Metadata};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

/// Ends the names of files being written.
const TEMPORARY: &str = ".fastnn-tmp";
/// Leftovers that no lock tells about are cleared when they are older than this.
const OLD: Duration = Duration::from_secs(24 * 3600);
/// The longest part of a target's name that its temporaries repeat, in bytes.
const LONGEST_STEM: usize = 180;
/// Links followed from one target to the next.
const MOST_LINKS: usize = 40;

/// A file being written beside its target. Dropped without [`Replacement::commit`] it is removed.
#[derive(Debug)]
pub struct Replacement {
    target: PathBuf,
    temporary: PathBuf,
    folder: PathBuf,
    /// Holds the lock that says that the writer lives.
    handle: File,
    done: bool,
}

impl Replacement {
    /// An empty temporary file for `path`. Errors with `System` or `Io`, before anything is written,
    /// when the target is no regular file, may not be written, or has no folder.
    pub fn begin(path: &Path) -> Result<Replacement> {
        let (target, existing) = resolve(path)?;
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let Some(name) = target.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            return Err(Error::Io(format!(
                "cannot write {}: it names no file\n  hint: end the path in a file name",
                shown(path)
            )));
        };
        let fail = |error: &io::Error| match error.kind() {
            io::ErrorKind::NotFound => system(
                "cannot write",
                path,
                error,
                &format!("the folder {} does not exist\n  hint: create it first", shown(&folder)),
            ),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => system(
                "cannot write",
                path,
                error,
                &format!("the folder {} is read-only: {}", shown(&folder), reason(error)),
            ),
            _ => io_error("cannot write", path, error),
        };
        let stems = [stem_of(&name), format!("{:016x}", hash(name.as_bytes()))];
        for stem in &stems {
            clear_stale(&folder, stem);
        }
        let mut at = 0;
        loop {
            let temporary = folder.join(format!(".{}.{}{TEMPORARY}", stems[at], tag()));
            let handle = match create(&temporary, existing.is_some()) {
                Ok(handle) => handle,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                // Some file systems allow shorter names only.
                Err(error) if error.kind() == io::ErrorKind::InvalidFilename && at == 0 => {
                    at = 1;
                    continue;
                }
                Err(error) => return Err(fail(&error)),
            };
            let made = Replacement {
                target: target.clone(),
                temporary,
                folder: folder.clone(),
                handle,
                done: false,
            };
            let _ = lock(&made.handle);
            // Before it was locked another writer may have taken it for a leftover.
            if !made.temporary.exists() {
                continue;
            }
            if let Some(old) = &existing {
                inherit(&made.handle, old).map_err(|e| io_error("cannot write", path, &e))?;
            }
            return Ok(made);
        }
    }

    /// Where to write; the file exists and is empty.
    #[must_use]
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// The open file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.handle
    }

    /// Makes the content durable and puts it in the place of the target.
    pub fn commit(mut self) -> Result<()> {
        let done = File::open(&self.temporary)
            .and_then(|written| written.sync_all())
            .and_then(|()| fs::rename(&self.temporary, &self.target));
        done.map_err(|error| io_error("cannot write", &self.target, &error))?;
        self.done = true;
        // Without this the rename itself could be lost in a crash. Not every system can open folders.
        if let Ok(folder) = File::open(&self.folder) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}

fn system(what: &str, path: &Path, error: &io::Error, why: &str) -> Error {
    let text = format!("{what} {}: {why}", shown(path));
    error.raw_os_error().map_or_else(|| Error::Io(text.clone()), |code| Error::System(code, text.clone()))
}

/// What kind of file this is, when it is no regular one.
pub(super) fn odd_kind(meta: &Metadata) -> Option<&'static str> {
    if meta.is_file() {
        return None;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = meta.file_type();
        if kind.is_fifo() {
            return Some("a pipe");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
        if kind.is_char_device() || kind.is_block_device() {
            return Some("a device");
        }
    }
    Some(if meta.is_dir() { "a folder" } else { "no regular file" })
}

/// The file to replace, links followed, and what is there now.
fn resolve(path: &Path) -> Result<(PathBuf, Option<Metadata>)> {
    let fail = |error: &io::Error| io_error("cannot write", path, error);
    let mut here = path.to_path_buf();
    match fs::metadata(path) {
        Ok(meta) => {
            if let Some(kind) = odd_kind(&meta) {
                #[cfg(unix)]
                let code = if meta.is_dir() { libc::EISDIR } else { libc::EINVAL };
                #[cfg(not(unix))]
                let code = 22;
                return Err(Error::System(
                    code,
                    format!(
                        "cannot write {}: it is {kind}, wanted a file\n  hint: save under another name and copy the file",
                        shown(path)
                    ),
                ));
            }
            here = fs::canonicalize(path).map_err(|e| fail(&e))?;
            if !may_write(&here, &meta) {
                let denied = io::Error::from_raw_os_error(13);
                let why = "the file is read-only\n  hint: make it writable, or save under another name";
                return Err(system("cannot write", path, &denied, why));
            }
            return Ok((here, Some(meta)));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fail(&error)),
    }
    for _ in 0..MOST_LINKS {
        match fs::read_link(&here) {
            Ok(next) => here = here.parent().unwrap_or(Path::new("")).join(next),
            // What is no link, or not there, is where the new file belongs.
            Err(_) => return Ok((here, None)),
        }
    }
    Err(Error::Io(format!(
        "cannot write {}: too many links lead on from it\n  hint: write to the file that the link should lead to",
        shown(path)
    )))
}

#[cfg(unix)]
fn may_write(path: &Path, _meta: &Metadata) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let Ok(text) = std::ffi::CString::new(path.as_os_str().as_bytes()) else { return true };
    // SAFETY: a C string; it is only asked about.
    let denied = unsafe { libc::faccessat(libc::AT_FDCWD, text.as_ptr(), libc::W_OK, libc::AT_EACCESS) } != 0;
    !denied || io::Error::last_os_error().raw_os_error() != Some(libc::EACCES)
}

#[cfg(not(unix))]
fn may_write(_path: &Path, meta: &Metadata) -> bool {
    !meta.permissions().readonly()
}

/// A new file: private until it has the mode of the old one, else as the umask says.
fn create(path: &Path, private: bool) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if private { 0o600 } else { 0o666 });
    #[cfg(not(unix))]
    let _ = private;
    options.open(path)
}

/// Gives the new file the owner, as far as that is allowed, and the mode of the old one.
#[cfg(unix)]
fn inherit(handle: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let new = handle.metadata()?;
    let mut mode = old.mode() & 0o777;
    if (new.uid(), new.gid()) != (old.uid(), old.gid())
        && fchown(handle, Some(old.uid()), Some(old.gid())).is_err()
    {
        // Another group must not get what was meant for the old one.
        if new.gid() != old.gid() && fchown(handle, None, Some(old.gid())).is_err() {
            mode &= !0o070 | (mode & 0o007) << 3;
        }
    }
    handle.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn inherit(_handle: &File, _old: &Metadata) -> io::Result<()> {
    Ok(())
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// What temporaries of a target repeat of its name: all of it, or its start and a checksum.
fn stem_of(name: &str) -> String {
    if name.len() <= LONGEST_STEM {
        return name.to_string();
    }
    let mut end = LONGEST_STEM - 20;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{:016x}", &name[..end], hash(name.as_bytes()))
}

/// Eight digits for this boot of this machine: within it locks tell who lives.
fn boot() -> u32 {
    let id = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    hash(&id) as u32
}

fn tag() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut random = std::collections::hash_map::RandomState::new().build_hasher();
    random.write_u64(COUNT.fetch_add(1, Relaxed));
    random.write_u32(std::process::id());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    random.write_u128(now.as_nanos());
    format!("{:08x}-{:016x}", boot(), random.finish())
}

/// The boot in a tag; `None` when it is no tag of ours.
fn boot_of(tag: &str) -> Option<u32> {
    let (boot, random) = tag.split_once('-')?;
    (boot.len() == 8 && random.len() == 16 && u64::from_str_radix(random, 16).is_ok())
        .then(|| u32::from_str_radix(boot, 16).ok())?
}

/// Takes the writer's lock without waiting: `Ok(false)` when somebody else has it. One that belongs
/// to the open file, and that HDF5, which locks in its own way, does not meet.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn lock(handle: &File) -> io::Result<bool> {
    use std::os::fd::AsRawFd;
    // SAFETY: all zeros is a valid `flock`.
    let mut whole: libc::flock = unsafe { std::mem::zeroed() };
    whole.l_type = libc::F_WRLCK as libc::c_short;
    whole.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: an open descriptor and a filled-in struct.
    if unsafe { libc::fcntl(handle.as_raw_fd(), libc::F_OFD_SETLK, &raw mut whole) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn lock(_handle: &File) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Removes temporaries of this target whose writers are gone.
fn clear_stale(folder: &Path, stem: &str) {
    let Ok(files) = fs::read_dir(folder) else { return };
    let start = format!(".{stem}.");
    for file in files.flatten() {
        let found = file.file_name();
        let found = found.to_string_lossy();
        let Some(tag) = found.strip_prefix(&start).and_then(|f| f.strip_suffix(TEMPORARY)) else { continue };
        if !file.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let modified = file.metadata().and_then(|m| m.modified()).ok();
        let age = modified.and_then(|t| t.elapsed().ok()).unwrap_or_default();
        let mut options = File::options();
        options.read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let free = options.open(file.path()).and_then(|handle| Ok((lock(&handle)?, handle)));
        let gone = match &free {
            Ok((true, _)) => boot_of(tag) == Some(boot()) || age > OLD,
            Ok((false, _)) => false,
            Err(_) => age > OLD,
        };
        if gone {
            let _ = fs::remove_file(file.path());
        }
    }
}
