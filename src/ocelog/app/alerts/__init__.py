"""What people do with alerts, and the channels by which they are told."""
