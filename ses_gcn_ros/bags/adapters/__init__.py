"""Skeletons of other ROS packages: message type in, the core's observations out.

=============================================  ====================================  ===============
type                                           from                                  layout
=============================================  ====================================  ===============
``ses_gcn_ros/msg/SkeletonArray``              this package                          as it says
``zed_msgs/msg/ObjectsStamped``                ZED ROS 2 wrapper (and its older      openpose18,
                                               name ``zed_interfaces``)              zed34, zed38
``visualization_msgs/msg/MarkerArray``         Azure Kinect ROS driver               kinect32
``geometry_msgs/msg/PoseArray``                whoever publishes one pose a joint    to be given
``hri_msgs/msg/IdsList``                       ROS4HRI: bodies as frames of TF       hri15
=============================================  ====================================  ===============
"""

from ses_gcn_ros.bags.adapters.adapt import ADAPTED, Adapter, adapt, check_observation
from ses_gcn_ros.bags.adapters.hri import HriBodies
from ses_gcn_ros.bags.adapters.reader import read_people

__all__ = ["ADAPTED", "Adapter", "HriBodies", "adapt", "check_observation", "read_people"]
