"""The Python interface, which `import bench` offers: run, load, use what was trained."""
