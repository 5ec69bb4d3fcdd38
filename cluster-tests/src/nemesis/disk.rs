//! A disk for one node: a file system in a file, mounted by loop.
//!
//! A cut of its power is true to life: the file system is shut down without writing anything
//! more, so that only what was synced is there after the next mount.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::RigError;
use crate::nemesis::tool;
use crate::wait::wait_until;

/// Room for a log, tables and two snapshots, and the least that xfs takes.
const SIZE_BYTES: u64 = 512 * 1024 * 1024;
/// How long a process that was killed may keep its files open.
const UNMOUNT_WITHIN: Duration = Duration::from_secs(20);

/// The disk. It is unmounted with its value; the file is removed with the run's directory.
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
    mounted: bool,
    cut: bool,
}

impl Disk {
    /// Makes the image `name.img` and the directory `name` in `dir`, and mounts it.
    ///
    /// # Errors
    /// When the machine refuses.
    pub fn make(dir: &Path, name: &str) -> Result<Self, RigError> {
        let (image, mount) = (dir.join(format!("{name}.img")), dir.join(name));
        let file = std::fs::File::create(&image).map_err(RigError::at("make", &image))?;
        file.set_len(SIZE_BYTES).map_err(RigError::at("size", &image))?;
        std::fs::create_dir(&mount).map_err(RigError::at("make", &mount))?;
        let mut disk = Self { image, mount, mounted: false, cut: false };
        disk.format()?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Writes down all that so far is only in memory, as the system does now and then by itself.
    ///
    /// # Errors
    /// When that fails.
    pub fn write_back(&self) -> Result<(), RigError> {
        tool::run("sync", &["--file-system", &self.mount.display().to_string()]).map(|_| ())
    }

    /// Cuts its power: what is not on the disk yet will never be.
    ///
    /// # Errors
    /// When the file system cannot be shut down.
    pub fn cut_power(&mut self) -> Result<(), RigError> {
        if !self.cut {
            tool::run("xfs_io", &["-x", "-c", "shutdown", &self.mount.display().to_string()])?;
            self.cut = true;
        }
        Ok(())
    }

    /// Whether its power is cut.
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    /// Mounts it anew after its power was cut. No process may have it open.
    ///
    /// # Errors
    /// When it cannot be unmounted or mounted.
    pub fn restore_power(&mut self) -> Result<(), RigError> {
        if self.cut {
            self.unmount()?;
            self.mount()?;
            self.cut = false;
        }
        Ok(())
    }

    /// A new disk in place of this one. No process may have it open.
    ///
    /// # Errors
    /// When the machine refuses.
    pub fn replace(&mut self) -> Result<(), RigError> {
        self.unmount()?;
        self.format()?;
        self.mount()?;
        self.cut = false;
        Ok(())
    }

    /// Fills it to the last block.
    ///
    /// # Errors
    /// When that fails for another reason than that it is full.
    pub fn fill(&self) -> Result<(), RigError> {
        let path = self.filler();
        let options = || std::fs::File::options().create(true).append(true).open(&path);
        let mut file = options().map_err(RigError::at("make", &path))?;
        self.take_most(&path);
        let block = vec![0_u8; 1024 * 1024];
        let mut piece = block.len();
        while piece >= 512 {
            match file.write(block.get(..piece).unwrap_or_default()) {
                Ok(0) => piece /= 2,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => piece /= 2,
                Err(error) => return Err(RigError::at("fill", &path)(error)),
            }
        }
        // What is only promised to the file is taken for good now.
        let _ = file.sync_all();
        Ok(())
    }

    /// Gives the room back.
    pub fn free(&self) {
        // Nothing is there when the disk was replaced, or lost its power before it was synced.
        let _ = std::fs::remove_file(self.filler());
    }

    /// Takes room in large pieces, without writing to it; whatever is refused is tried in halves.
    fn take_most(&self, path: &Path) {
        let (mut taken, mut piece) = (0, SIZE_BYTES / 2);
        while piece >= 1024 * 1024 {
            let length = (taken + piece).to_string();
            if tool::run("fallocate", &["--length", &length, &path.display().to_string()]).is_ok() {
                taken += piece;
            } else {
                piece /= 2;
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.mount.join("filler")
    }

    fn format(&self) -> Result<(), RigError> {
        tool::run("mkfs.xfs", &["-q", "-f", &self.image.display().to_string()]).map(|_| ())
    }

    fn mount(&mut self) -> Result<(), RigError> {
        let (image, mount) = (self.image.display().to_string(), self.mount.display().to_string());
        tool::run("mount", &["-o", "loop", &image, &mount])?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), RigError> {
        if self.mounted {
            let mount = self.mount.display().to_string();
            wait_until("a disk to be unmounted", UNMOUNT_WITHIN, || tool::run("umount", &[&mount]))?;
            self.mounted = false;
        }
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted && tool::run("umount", &[&self.mount.display().to_string()]).is_err() {
            let _ = tool::run("umount", &["--lazy", &self.mount.display().to_string()]);
        }
    }
}
