//! A disk of the rig's own: a file system in a file, mounted through a loop device.
//!
//! It can be small, full, and lose its power for real: `shutdown` makes the kernel forget what was
//! not synced. Mounting needs root; [`available`] says whether this machine lets the rig do it.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::RigError;
use crate::wait::wait_until;

/// How long a disk may be busy after its last process was ended.
const UNMOUNT_WITHIN: Duration = Duration::from_secs(20);

/// A file system that Keymoot is run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// XFS; at least 300 MiB.
    Xfs,
    /// ext4, with its data in order before its journal.
    Ext4,
}

/// A mounted disk. It is unmounted and removed with its value.
pub struct LoopDisk {
    _home: TempDir,
    image: PathBuf,
    mount: PathBuf,
}

/// Whether disks can be mounted here; else why not, in words that say that a test was not run.
///
/// # Errors
/// The words.
pub fn available() -> Result<(), String> {
    let tried = LoopDisk::make(FileSystem::Ext4, 16 * 1024 * 1024).and_then(|disk| disk.cut_power());
    tried.map_err(|error| format!("NOT RUN, because no disk can be mounted here: {error}"))
}

impl LoopDisk {
    /// Makes a disk of so many bytes and mounts it at a path of its own.
    ///
    /// # Errors
    /// When a tool is missing or refuses.
    pub fn make(kind: FileSystem, bytes: u64) -> Result<Self, RigError> {
        let home = TempDir::with_prefix("keymoot-disk-").map_err(RigError::io("cannot make a directory"))?;
        let mount = home.path().join("mount");
        std::fs::create_dir(&mount).map_err(RigError::at("make", &mount))?;
        let image = home.path().join("image");
        let file = File::create(&image).map_err(RigError::at("make", &image))?;
        file.set_len(bytes).map_err(RigError::at("size", &image))?;
        let program = match kind {
            FileSystem::Xfs => "mkfs.xfs",
            FileSystem::Ext4 => "mkfs.ext4",
        };
        run(Command::new(program).arg("-q").arg(&image))?;
        let disk = Self { _home: home, image, mount };
        disk.mount()?;
        Ok(disk)
    }

    /// Makes a disk that holds what `dir` holds, and mounts it there in place of it.
    ///
    /// # Errors
    /// When a tool is missing or refuses.
    pub fn over(dir: &Path, kind: FileSystem, bytes: u64) -> Result<Self, RigError> {
        let mut disk = Self::make(kind, bytes)?;
        run(Command::new("cp").arg("-a").arg(dir.join(".")).arg(&disk.mount))?;
        disk.unmount()?;
        disk.mount = dir.to_owned();
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Syncs it: what is there now outlives a cut.
    ///
    /// # Errors
    /// When that fails.
    pub fn sync(&self) -> Result<(), RigError> {
        run(Command::new("sync").arg("-f").arg(&self.mount))
    }

    /// Cuts its power: what was not synced is gone, and nothing is written any more.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cut_power(&self) -> Result<(), RigError> {
        run(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(&self.mount))
    }

    /// Mounts it anew. Whatever used it must have ended.
    ///
    /// # Errors
    /// When it is still in use or cannot be mounted.
    pub fn remount(&self) -> Result<(), RigError> {
        self.unmount()?;
        self.mount()
    }

    /// Fills it with a file, to the last block. Removing the file makes room again.
    ///
    /// # Errors
    /// When that fails in another way than for want of room.
    pub fn fill(&self) -> Result<PathBuf, RigError> {
        let path = self.mount.join("filling");
        let mut file = File::create(&path).map_err(RigError::at("make", &path))?;
        let mut piece = vec![0_u8; 1024 * 1024];
        while !piece.is_empty() {
            match file.write_all(&piece).and_then(|()| file.sync_data()) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                    piece.truncate(piece.len() / 2);
                }
                Err(error) => return Err(RigError::at("fill", &path)(error)),
            }
        }
        Ok(path)
    }

    /// Fills it with a file but for so many bytes.
    ///
    /// # Errors
    /// When that fails.
    pub fn fill_but(&self, left: u64) -> Result<PathBuf, RigError> {
        let path = self.mount.join("filling");
        let space = rustix::fs::statvfs(&self.mount)
            .map_err(|errno| RigError::at("measure", &self.mount)(errno.into()))?;
        let bytes = (space.f_bavail * space.f_frsize).saturating_sub(left);
        let file = File::create(&path).map_err(RigError::at("make", &path))?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)
            .map_err(|errno| RigError::at("fill", &path)(errno.into()))?;
        Ok(path)
    }

    fn mount(&self) -> Result<(), RigError> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mount))
    }

    fn unmount(&self) -> Result<(), RigError> {
        wait_until("a disk to be unmounted", UNMOUNT_WITHIN, || run(Command::new("umount").arg(&self.mount)))
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // A lazy unmount also goes while a process that is being ended still uses it.
        let _ = run(Command::new("umount").arg("-l").arg(&self.mount));
    }
}

fn run(command: &mut Command) -> Result<(), RigError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(RigError::io(format!("cannot run {name}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(RigError::Program(format!("{name} failed: {}", said.trim())))
}
