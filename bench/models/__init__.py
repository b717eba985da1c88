"""Models: `nn.Module`s built as `Model(in_channels=…, out_channels=…, **settings)`."""
