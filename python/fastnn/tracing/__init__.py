"""What calls leave behind: variables and scopes, symbolic tensors with their history, gradients."""
