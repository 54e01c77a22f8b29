"""What people look at: progress, charts, summaries and diagrams of models."""
