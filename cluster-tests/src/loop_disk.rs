//! A disk of the rig: a file system in a file, mounted through a loop device.
//!
//! It can be small, full, and lose its power for real: `shutdown` makes the kernel drop everything
//! that was not synced. Mounting needs root; [`available`] checks whether this machine permits it.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use tempfile::TempDir;

use crate::wait::wait_until;
use crate::{RigError, tool};

/// How long a disk may be busy after its last process has ended.
const UNMOUNT_WITHIN: Duration = Duration::from_secs(20);
/// Space is allocated without writing in pieces that are halved down to this size; the rest is
/// filled by writing.
const PIECE_BYTES: usize = 1024 * 1024;
/// No file system has smaller blocks.
const BLOCK_BYTES_MIN: usize = 512;

/// A file system that Keymoot supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// XFS; at least 300 MiB.
    Xfs,
    /// ext4 in its mode `data=ordered`.
    Ext4,
}

/// A mounted disk. It is unmounted when this value is dropped.
pub struct LoopDisk {
    kind: FileSystem,
    bytes: u64,
    image: PathBuf,
    mount: PathBuf,
    is_mounted: bool,
    is_cut: bool,
    /// The directory of the image, unless the caller supplied one.
    _home: Option<TempDir>,
}

/// Checks whether disks can be mounted here.
///
/// # Errors
/// The reason, as a text that says that a test was not run.
pub fn available() -> Result<(), String> {
    let tried = LoopDisk::make(FileSystem::Ext4, 16 * 1024 * 1024).and_then(|mut disk| disk.cut_power());
    tried.map_err(|error| format!("NOT RUN, because no disk can be mounted here: {error}"))
}

impl LoopDisk {
    /// Makes a disk of this size and mounts it at a path of its own.
    ///
    /// # Errors
    /// When a tool is missing or fails.
    pub fn make(kind: FileSystem, bytes: u64) -> Result<Self, RigError> {
        let home = TempDir::with_prefix("keymoot-disk-").map_err(RigError::io("cannot make a directory"))?;
        let mut disk = Self::make_in(home.path(), "mount", kind, bytes)?;
        disk._home = Some(home);
        Ok(disk)
    }

    /// Makes the image `name.img` and the directory `name` in `dir`, and mounts one at the other.
    ///
    /// # Errors
    /// When a tool is missing or fails.
    pub fn make_in(dir: &Path, name: &str, kind: FileSystem, bytes: u64) -> Result<Self, RigError> {
        let (image, mount) = (dir.join(format!("{name}.img")), dir.join(name));
        let file = File::create(&image).map_err(RigError::at("make", &image))?;
        file.set_len(bytes).map_err(RigError::at("size", &image))?;
        std::fs::create_dir(&mount).map_err(RigError::at("make", &mount))?;
        let mut disk = Self { kind, bytes, image, mount, is_mounted: false, is_cut: false, _home: None };
        disk.format()?;
        disk.mount()?;
        Ok(disk)
    }

    /// Makes a disk with the contents of `dir`, and mounts it over `dir`.
    ///
    /// # Errors
    /// When a tool is missing or fails.
    pub fn over(dir: &Path, kind: FileSystem, bytes: u64) -> Result<Self, RigError> {
        let mut disk = Self::make(kind, bytes)?;
        tool::run("cp", &["-a", &text(&dir.join(".")), &text(&disk.mount)])?;
        disk.unmount()?;
        disk.mount = dir.to_owned();
        disk.mount()?;
        Ok(disk)
    }

    /// The mount point.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Syncs the disk, as the system does now and then: its present content survives a power cut.
    ///
    /// # Errors
    /// When that fails.
    pub fn sync(&self) -> Result<(), RigError> {
        tool::run("sync", &["--file-system", &text(&self.mount)]).map(drop)
    }

    /// Cuts the power, unless it is cut: what was not synced is lost, and nothing is written any
    /// more.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cut_power(&mut self) -> Result<(), RigError> {
        if !self.is_cut {
            tool::run("xfs_io", &["-x", "-c", "shutdown", &text(&self.mount)])?;
            self.is_cut = true;
        }
        Ok(())
    }

    /// Whether its power is cut.
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Mounts the disk again after a power cut. Its processes must have ended.
    ///
    /// # Errors
    /// When it is still in use or cannot be mounted.
    pub fn restore_power(&mut self) -> Result<(), RigError> {
        if self.is_cut {
            self.unmount()?;
            self.mount()?;
        }
        Ok(())
    }

    /// Replaces this disk by a new one. Its processes must have ended.
    ///
    /// # Errors
    /// When it is still in use, or a tool fails.
    pub fn replace(&mut self) -> Result<(), RigError> {
        self.unmount()?;
        self.format()?;
        self.mount()
    }

    /// Fills the disk to the last block.
    ///
    /// # Errors
    /// When that fails for another reason than a full disk.
    pub fn fill(&self) -> Result<(), RigError> {
        let path = self.filler();
        let opened = File::options().create(true).append(true).open(&path);
        let mut file = opened.map_err(RigError::at("make", &path))?;
        self.take_most(&file);
        let mut piece = vec![0_u8; PIECE_BYTES];
        while piece.len() >= BLOCK_BYTES_MIN {
            match file.write_all(&piece).and_then(|()| file.sync_data()) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => piece.truncate(piece.len() / 2),
                Err(error) => return Err(RigError::at("fill", &path)(error)),
            }
        }
        // Blocks that are only reserved for the file are allocated now; on a full disk this may
        // fail.
        let _ = file.sync_all();
        Ok(())
    }

    /// Fills the disk but for `left` bytes.
    ///
    /// # Errors
    /// When that fails.
    pub fn fill_but(&self, left: u64) -> Result<(), RigError> {
        let path = self.filler();
        let space =
            statvfs(&self.mount).map_err(|errno| RigError::at("measure", &self.mount)(errno.into()))?;
        let bytes = (space.f_bavail * space.f_frsize).saturating_sub(left);
        let file = File::create(&path).map_err(RigError::at("make", &path))?;
        fallocate(&file, FallocateFlags::empty(), 0, bytes)
            .map_err(|errno| RigError::at("fill", &path)(errno.into()))
    }

    /// Frees the filled space, unless the disk was replaced or its power cut.
    ///
    /// # Errors
    /// When the file that fills it cannot be removed.
    pub fn free(&self) -> Result<(), RigError> {
        let path = self.filler();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(RigError::at("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Allocates space in large pieces, without writing; a piece that does not fit is halved.
    fn take_most(&self, file: &File) {
        let (mut taken, mut piece) = (0, self.bytes / 2);
        while piece >= PIECE_BYTES as u64 {
            match fallocate(file, FallocateFlags::empty(), taken, piece) {
                Ok(()) => taken += piece,
                Err(_) => piece /= 2,
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.mount.join("filler")
    }

    fn format(&self) -> Result<(), RigError> {
        // The image may hold an older file system.
        let (program, anyway) = match self.kind {
            FileSystem::Xfs => ("mkfs.xfs", "-f"),
            FileSystem::Ext4 => ("mkfs.ext4", "-F"),
        };
        tool::run(program, &["-q", anyway, &text(&self.image)]).map(drop)
    }

    fn mount(&mut self) -> Result<(), RigError> {
        tool::run("mount", &["-o", "loop", &text(&self.image), &text(&self.mount)])?;
        (self.is_mounted, self.is_cut) = (true, false);
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), RigError> {
        if self.is_mounted {
            let mount = text(&self.mount);
            wait_until("a disk to be unmounted", UNMOUNT_WITHIN, || tool::run("umount", &[&mount]))?;
            self.is_mounted = false;
        }
        Ok(())
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        let mount = text(&self.mount);
        if self.is_mounted && tool::run("umount", &[&mount]).is_err() {
            // A lazy unmount also succeeds while a process that is ending still uses the disk.
            let _ = tool::run("umount", &["--lazy", &mount]);
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
