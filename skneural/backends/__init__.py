"""Engines that run programs. One today: the CPU's."""
