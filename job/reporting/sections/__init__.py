"""The sections of the report: each turns a part of the bundle into what the templates show, and leaves out what is not there."""
