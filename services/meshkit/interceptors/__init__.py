"""What happens around every RPC: `CallInterceptor` says in which order, each other module does one thing."""
