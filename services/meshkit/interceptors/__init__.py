"""The steps around every RPC: `CallInterceptor` fixes their order, and each other module does one of them."""
