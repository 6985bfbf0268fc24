"""PostgreSQL and Valkey from wheels, as direct children that never outlive this process."""
