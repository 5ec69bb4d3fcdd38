//! (room drm)
