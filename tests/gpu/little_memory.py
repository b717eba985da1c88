"""A convolution with less and less room on the GPU, in a process of its own; see runs.py."""

from __future__ import annotations

import json

import torch

from bench.measure.memory import is_out_of_memory


def main() -> None:
    torch.backends.cudnn.benchmark = True
    layer = torch.nn.Conv2d(256, 256, 3, padding=1).cuda().to(memory_format=torch.channels_last)
    for left in (700, 400, 300, 200, 120, 60):
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(1.0)
        x = torch.randn(16, 256, 128, 128, device="cuda")
        x = x.contiguous(memory_format=torch.channels_last)
        torch.cuda.empty_cache()
        room = torch.cuda.memory_reserved() + left * 2**20
        torch.cuda.set_per_process_memory_fraction(room / torch.cuda.mem_get_info()[1])
        found: dict[str, object] = {"case": f"{left} MiB left"}
        try:
            with torch.autocast("cuda", torch.bfloat16):
                layer(x).float().sum().backward()
            found["raised"] = None
        except RuntimeError as error:
            words = " ".join(str(error).split())[:120]
            found |= {"raised": words, "recognised": is_out_of_memory(error)}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
