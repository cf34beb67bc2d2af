"""What a training script needs around the engine: data sets, loaders, downloads."""
