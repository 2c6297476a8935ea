"""The only room that knows MLflow. A tracker that fails never fails a stage. Uses params, work."""
