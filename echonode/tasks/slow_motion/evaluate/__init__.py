"""How good slow motion is: frames that are left out and asked back, and what they are compared with."""
